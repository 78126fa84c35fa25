import Foundation
import ShelfSight
import XCTest

/// Products that an app adds and removes: found at once, there after opening again, and as they were when built.
final class EditTests: XCTestCase {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    private let looks = FindOptions(barcodes: false)
    private let mine = Product(
        id: "mine", title: "Zebra crossing soap", brand: "Own", category: "Odds", gtin: "5901234123457",
        attributes: [.init(name: "colour", value: "striped"), .init(name: "size", value: "2 m")])

    override func setUpWithError() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(at: folder) }

    private func pack() throws -> URL {
        let copy = folder.appendingPathComponent("shop.shelf")
        try FileManager.default.copyItem(at: Demo.pack, to: copy)
        return copy
    }

    /// One of the photos that need no barcode to be named, and the id of the demo's product that it shows.
    private func photo(_ at: Int = 0) async throws -> (data: Data, id: String) {
        let engine = try await Engine.open(Demo.pack)
        var left = at
        for file in try Demo.photos() {
            let (data, id) = (try Data(contentsOf: file), file.deletingPathExtension().lastPathComponent)
            let found = try await engine.find(.photo(data), options: looks)
            if found.best?.product.id == id, left == 0 { return (data, id) }
            left -= found.best?.product.id == id ? 1 : 0
        }
        throw CocoaError(.fileNoSuchFile)
    }

    private func seen(_ engine: Engine, _ at: Int = 0) async throws -> [Match] {
        try await engine.find(.photo(await photo(at).data), options: looks).matches
    }

    private func record(_ engine: Engine, _ id: String) async throws -> Product? {
        try await engine.find(text: "a", options: FindOptions(top: 1, filters: [.id(id)])).best?.product
    }

    private func named(_ id: String) -> Product { Product(id: id, title: "Zebra crossing soap") }

    func testAProductIsFoundAtOnceAndAfterOpeningAgain() async throws {
        let pack = try pack()
        let (_, known) = try await photo()
        func check(_ engine: Engine) async throws {
            let bySight = try await seen(engine)
            XCTAssertEqual(bySight.first?.product.id, "mine")
            let byWords = try await engine.find(text: "zebra crossing soap").best?.product
            XCTAssertEqual(byWords?.gtin, "05901234123457")
            XCTAssertEqual(byWords?.attributes, mine.attributes)
            let byNumber = try await engine.find(text: "5901234123457").best
            XCTAssertEqual(byNumber?.product.id, "mine")
            XCTAssertEqual(byNumber?.evidence.barcode, true)
            let old = try await record(engine, known)
            XCTAssertNil(old)
        }
        let engine = try await Engine.open(pack)
        try await engine.remove(id: known)
        try await engine.add(mine, pictures: try Demo.pictures(known).map { .photo(try Data(contentsOf: $0)) })
        try await check(engine)
        let now = try await engine.currentInfo()
        XCTAssertEqual(now.products, engine.info.products)
        XCTAssertTrue(now.brands.contains("Own") && !engine.info.brands.contains("Own"))
        engine.close()
        let again = try await Engine.open(pack)
        try await check(again)
        XCTAssertEqual(again.info.products, now.products)
    }

    func testTheSamePicturesAndWordsMakeTheProductThatThePackWasBuiltWith() async throws {
        let engine = try await Engine.open(try pack())
        for at in 0..<3 {
            let before = try await seen(engine, at)
            let id = try await photo(at).id
            let built = try await record(engine, id)
            let pictures = try Demo.pictures(id).map { Frame.photo(try Data(contentsOf: $0)) }
            try await engine.add(try XCTUnwrap(built), pictures: pictures, replace: true)
            let after = try await seen(engine, at)
            XCTAssertEqual(after, before)
        }
    }

    func testFramesAreReleasedAndAnIdIsThereOnce() async throws {
        let engine = try await Engine.open(try pack())
        let camera = Demo.Camera()
        try await engine.add(named("seen"), pictures: [camera.frame(0), camera.frame(1)])
        await camera.untilReleased()
        XCTAssertEqual(camera.inUse, 0)
        let best = try await engine.find(camera.frame(0), options: looks).best?.product.id
        XCTAssertEqual(best, "seen")
        await refused("replaced", "duplicateProduct") { try await engine.add(self.named("seen")) }
        try await engine.add(Product(id: "seen", title: "Renamed beyond recognition"), replace: true)
        let renamed = try await engine.find(text: "renamed beyond recognition").best?.product.id
        XCTAssertEqual(renamed, "seen")
        let matches = try await engine.find(camera.frame(0), options: looks).matches
        XCTAssertFalse(matches.contains { $0.product.id == "seen" })
        try await engine.remove(id: "seen")
        let gone = try await record(engine, "seen")
        XCTAssertNil(gone)
        await refused("no product", "noSuchProduct") { try await engine.remove(id: "seen") }
    }

    func testACancelledAddAddsNothing() async throws {
        let pack = try pack()
        let engine = try await Engine.open(pack)
        try await engine.warmUp()
        let camera = Demo.Camera()
        let pictures = (0..<3).map { camera.frame($0) }
        let whole = try await ContinuousClock().measure { try await engine.add(named("whole"), pictures: pictures) }
        var added: Set<String> = ["whole"]
        for turn in 0..<12 {
            let product = named("turn \(turn)")
            let task = Task { try await engine.add(product, pictures: pictures) }
            try await Task.sleep(for: whole * turn / 10)
            task.cancel()
            switch await task.result {
            case .success: added.insert(product.id)
            case .failure(let error): XCTAssertTrue(error is CancellationError, "\(error)")
            }
            let there = try await record(engine, product.id) != nil
            XCTAssertEqual(there, added.contains(product.id), product.id)
        }
        XCTAssertLessThan(added.count, 13)
        engine.close()
        let again = try await Engine.open(pack)
        XCTAssertEqual(again.info.products, engine.info.products + added.count)
    }

    func testManyTasksAddAtOnce() async throws {
        let pack = try pack()
        let engine = try await Engine.open(pack)
        let camera = Demo.Camera()
        let added = try await withThrowingTaskGroup(of: Bool.self) { group in
            for at in 0..<10 {
                let (product, frame) = (named("id \(at / 2)"), camera.frame(at))
                group.addTask {
                    do {
                        try await engine.add(product, pictures: [frame])
                        return true
                    } catch ShelfSightError.duplicateProduct {
                        return false
                    }
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        XCTAssertEqual(added, 5)
        let now = try await engine.currentInfo()
        XCTAssertEqual(now.products, engine.info.products + 5)
        engine.close()
        let again = try await Engine.open(pack)
        XCTAssertEqual(again.info.products, now.products)
    }

    func testWhatCannotBeDone() async throws {
        let pack = try pack()
        let engine = try await Engine.open(pack)
        await refused("check digit 8 where", "product") {
            try await engine.add(Product(id: "x", title: "soap", gtin: "5901234123458"))
        }
        await refused("id is empty", "product") { try await engine.add(self.named("")) }
        await refused("nothing could find", "product") { try await engine.add(Product(id: "bare", title: " ")) }
        await refused("empty", "photo") { try await engine.add(self.named("x"), pictures: [.photo(Data())]) }
        let now = try await engine.currentInfo()
        XCTAssertEqual(now.products, engine.info.products)
        let second = try await Engine.open(pack)
        try await engine.add(named("first"))
        await refused("in use", "packInUse") { try await second.add(self.named("x")) }
        engine.close()
        await refused("closed", "engineClosed") { try await engine.add(self.named("x")) }
        await refused("closed", "engineClosed") { try await engine.remove(id: "x") }
        await refused("closed", "engineClosed") { _ = try await engine.compact() }
        await refused("closed", "engineClosed") { _ = try await engine.currentInfo() }
        try await second.add(named("x"))
        let low = try await Engine.open(Demo.pack, options: EngineOptions(maxMemoryBytes: 1000))
        await refused("ceiling", "memoryCeiling") { try await low.add(self.named("x")) }
        // Not even an administrator can make files in /proc, where a pack that is open lies too, by another name.
        let handle = try FileHandle(forReadingFrom: pack)
        let link = URL(fileURLWithPath: "/proc/self/fd/\(handle.fileDescriptor)")
        let fixed = try await Engine.open(link)
        await refused(".journal", "storage") { try await fixed.add(self.named("y")) }
        await refused(".journal", "storage") { try await fixed.remove(id: "x") }
        await refused(".journal", "storage") { _ = try await fixed.compact() }
        try handle.close()
    }

    func testACompactedPackAnswersAsBefore() async throws {
        let pack = try pack()
        let removed = try await photo(3).id
        func answers(_ engine: Engine) async throws -> [[Match]] {
            var all = [try await engine.find(text: "zebra crossing soap").matches]
            for at in [0, 3] { all.append(try await seen(engine, at)) }
            return all
        }
        let engine = try await Engine.open(pack)
        let nothing = try await engine.compact()
        XCTAssertNil(nothing)
        try await engine.add(mine, pictures: [.photo(await photo().data)])
        try await engine.remove(id: removed)
        let before = try await answers(engine)
        let done = try await engine.compact()
        XCTAssertEqual(done?.products, engine.info.products)
        XCTAssertGreaterThan(done?.bytesBefore ?? 0, engine.info.bytes)
        await refused("open it again", "packReplaced") { try await engine.add(self.named("lost")) }
        let old = try await answers(engine)
        XCTAssertEqual(old, before)
        let again = try await Engine.open(pack, options: EngineOptions(verify: true))
        XCTAssertEqual(again.info.bytes, done?.bytesAfter)
        let new = try await answers(again)
        XCTAssertEqual(new, before)
        // A pack imported in its place takes what was added with it.
        try await again.add(named("next"))
        for try await _ in Packs.import(from: Demo.pack, to: pack) {}
        await refused("replaced", "packReplaced") { try await again.remove(id: "next") }
        let imported = try await Engine.open(pack)
        let gone = try await record(imported, "next")
        XCTAssertNil(gone)
        try await imported.add(named("next"))
    }
}
