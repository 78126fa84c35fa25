import Foundation
import ShelfSight
import XCTest

/// What an app can do wrong ends in a typed error of one line, and the engine works on.
final class RefusalTests: XCTestCase {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)

    override func setUpWithError() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(at: folder) }

    func testPacksThatAreNone() async throws {
        let missing = folder.appendingPathComponent("missing.shelf")
        await refused("missing.shelf", "packNotFound") { _ = try await Engine.open(missing) }
        await refused("not a file", "packNotFound") { _ = try await Engine.open(self.folder) }
        var bytes = try Data(contentsOf: Demo.pack)
        let cut = folder.appendingPathComponent("cut")
        try bytes.dropLast().write(to: cut)
        await refused("cut off", "packDamaged") { _ = try await Engine.open(cut) }
        bytes[bytes.count / 2] ^= 4
        let flipped = folder.appendingPathComponent("flipped")
        try bytes.write(to: flipped)
        await refused("damaged", "packDamaged") {
            _ = try await Engine.open(flipped, options: EngineOptions(verify: true))
        }
        await refused("allowed", "packUnsupported") {
            _ = try await Engine.open(Demo.pack, options: EngineOptions(maxPackBytes: 1000))
        }
    }

    func testFramesThatAreNoPictures() async throws {
        let engine = try await Engine.open(Demo.pack)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        defer { memory.deallocate() }
        let plane = { (count: Int, row: Int, pixel: Int) in
            Plane(
                bytes: UnsafeRawBufferPointer(rebasing: memory[..<count]), bytesPerRow: row, bytesPerPixel: pixel)
        }
        let gray = { (width: Int, height: Int, plane: Plane, rotation: Int) in
            Frame.gray(width: width, height: height, pixels: plane, rotation: rotation)
        }
        for (part, frame) in [
            ("grey plane has 100 B", gray(64, 64, plane(100, 64, 1), 0)),
            ("grey plane has 0 B", gray(64, 64, plane(0, 64, 1), 0)),
            ("grey plane has 0 B", gray(64, 64, Plane(bytes: .init(start: nil, count: 0), bytesPerRow: 64, bytesPerPixel: 1), 0)),
            ("strides", gray(64, 64, plane(4096, 63, 1), 0)),
            ("strides", gray(64, 64, plane(4096, 64, 0), 0)),
            ("-64", gray(64, 64, plane(4096, -64, 1), 0)),
            ("45°", gray(64, 64, plane(4096, 64, 1), 45)),
            ("each side", gray(0, 64, plane(4096, 64, 1), 0)),
            ("each side", gray(.max, 64, plane(4096, .max, 1), 0)),
            ("U plane", .nv12(width: 64, height: 64, y: plane(4096, 64, 1), uv: plane(100, 64, 2))),
        ] {
            await refused(part, "frame") { _ = try await engine.find(frame, options: FindOptions(barcodes: false)) }
        }
        let good = gray(64, 64, plane(4096, 64, 1), 0)
        for region in [
            Area(x: 100, y: 100, width: 5, height: 5), Area(x: 0, y: .nan, width: 5, height: 5),
            Area(x: 9, y: 9, width: 0, height: -3),
        ] {
            await refused("no pixel inside the picture of 64 × 64", "frame") {
                _ = try await engine.find(good, options: FindOptions(region: region))
            }
        }
        // However far a region reaches past the picture, it is cut; a picture of one row needs no stride.
        let plain = try await engine.find(good).matches
        for far in [Float(1e9), .greatestFiniteMagnitude, .infinity] {
            let region = Area(x: -far, y: -far, width: far * 2, height: far * 2)
            let found = try await engine.find(good, options: FindOptions(region: region))
            XCTAssertEqual(found.matches, plain, "\(far)")
        }
        let row = try await engine.find(gray(64, 1, plane(64, 0, 1), 0))
        XCTAssertEqual(row.matches.count, 10)
        await refused("grey plane", "frame") { _ = try await engine.scan(gray(64, 64, plane(9, 64, 1), 0)) }
        await refused("empty", "photo") { _ = try await engine.find(.photo(Data())) }
        await refused("GIF", "photo") { _ = try await engine.find(.photo(Data("GIF89a".utf8))) }
        let nothing = Plane(bytes: .init(start: nil, count: 0), bytesPerRow: 32, bytesPerPixel: 1)
        let whole = plane(4096, 64, 1)
        await refused("U plane has 0 B", "frame") {
            _ = try await engine.find(.yuv420(width: 64, height: 64, y: whole, u: nothing, v: nothing))
        }
        // A stream throws what a single query throws.
        let stream = AsyncStream<Frame> { $0.yield(gray(64, 64, plane(9, 64, 1), 0)); $0.finish() }
        await refused("grey plane", "frame") { for try await _ in engine.scan(frames: stream) {} }
        let found = try await engine.find(text: "chips", options: FindOptions(top: 1))
        XCTAssertEqual(found.matches.count, 1)
    }

    func testQueriesThatAskNothingOrTooMuch() async throws {
        let engine = try await Engine.open(Demo.pack)
        await refused("nothing to look for", "query") { _ = try await engine.find() }
        await refused("10000", "query") { _ = try await engine.find(text: "a", options: FindOptions(top: 10_001)) }
        await refused("none of these words", "unknownWords") { _ = try await engine.find(text: "☃") }
        // With a picture, words that say nothing are left aside.
        let photo = try Data(contentsOf: Demo.photos()[0])
        let seen = try await engine.find(.photo(photo), text: "☃")
        XCTAssertFalse(seen.matches.isEmpty)
        await refused("empty value", "query") {
            let stream = AsyncStream<Frame> { $0.finish() }
            for try await _ in engine.scan(frames: stream, options: ScanOptions(filters: [.brand()])) {}
        }
        await refused("empty value", "query") {
            _ = try await engine.find(text: "a", options: FindOptions(filters: [.brand()]))
        }
        await refused("title", "query") {
            let filters: Filters = [.column("title", anyOf: ["x"])]
            _ = try await engine.find(text: "a", options: FindOptions(filters: filters))
        }
    }

    func testFiltersAreEqualWhenTheyAskTheSame() {
        let one: Filters = [.brand("a", "b"), .category("c")]
        let same: Filters = [.category("c"), .brand("b", "a", "b")]
        XCTAssertEqual(one, same)
        XCTAssertEqual(one.hashValue, same.hashValue)
        XCTAssertNotEqual(one, [.brand("a"), .category("c")])
        XCTAssertNotEqual([.brand("a")] as Filters, [.category("a")])
    }

    func testOpeningThatIsCancelledLeavesNothingOpen() async throws {
        let copy = folder.appendingPathComponent("cancelled.shelf")
        try FileManager.default.copyItem(at: Demo.pack, to: copy)
        let opening = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await Engine.open(copy)
        }
        opening.cancel()
        if case .failure(let error) = await opening.result {
            XCTAssertTrue(error is CancellationError, "\(error)")
        } else {
            XCTFail("it opened")
        }
        let maps = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
        XCTAssertFalse(maps.contains("cancelled.shelf"))
    }

    func testAClosedEngine() async throws {
        let engine = try await Engine.open(Demo.pack)
        engine.close()
        engine.close()
        await refused("closed", "engineClosed") { _ = try await engine.find(text: "chips") }
        await refused("closed", "engineClosed") {
            for try await _ in engine.scan(frames: Demo.Camera().frames([0], every: 1)) {}
        }
        await refused("closed", "engineClosed") { for try await _ in engine.verify() {} }
        XCTAssertGreaterThan(engine.info.products, 0)
    }

    func testAMemoryCeiling() async throws {
        let engine = try await Engine.open(Demo.pack, options: EngineOptions(maxMemoryBytes: 1 << 20))
        await refused("ceiling", "memoryCeiling") { _ = try await engine.scan(.photo(Data(contentsOf: Demo.shelf))) }
        let roomy = try await Engine.open(Demo.pack, options: EngineOptions(maxMemoryBytes: 256 << 20))
        let scan = try await roomy.scan(.photo(Data(contentsOf: Demo.shelf)))
        XCTAssertFalse(scan.items.isEmpty)
    }

    func testAPackRemovedWhileOpen() async throws {
        let copy = folder.appendingPathComponent("copy.shelf")
        try FileManager.default.copyItem(at: Demo.pack, to: copy)
        let engine = try await Engine.open(copy)
        try FileManager.default.removeItem(at: copy)
        let found = try await engine.find(text: "chips", options: FindOptions(top: 1))
        XCTAssertEqual(found.matches.count, 1)
    }
}
