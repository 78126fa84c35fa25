import Foundation
import ShelfSight
import ShelfSightCameraCore
import XCTest

final class CameraCoreTests: XCTestCase {
    private let demo = URL(
        fileURLWithPath: ProcessInfo.processInfo.environment["SHELFSIGHT_DEMO"] ?? "target/phone/demo")
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)

    override func setUpWithError() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(at: folder) }

    private func started() async throws -> (Shop, Engine) {
        let shop = Shop(folder: folder)
        await shop.start(sample: demo.appendingPathComponent("demo.shelf"))
        guard case .open(let engine) = await shop.state else {
            throw ShelfSightError.packNotFound(reason: "the demo's pack did not open: \(await shop.state)")
        }
        return (shop, engine)
    }

    func testWhatTheUserPicksComesAfterTheSample() async throws {
        let shop = Shop(folder: folder)
        // A sample that arrives late, and is none.
        let sample = folder.appendingPathComponent("sample")
        XCTAssertEqual(mkfifo(sample.path, 0o600), 0)
        let start = Task { await shop.start(sample: sample) }
        try await Task.sleep(for: .milliseconds(200))
        let picked = demo.appendingPathComponent("demo.shelf")
        let pick = Task { for try await _ in shop.bringIn(picked) {} }
        try await Task.sleep(for: .milliseconds(500))
        let late = open(sample.path, O_WRONLY)
        _ = Data(repeating: 1, count: 100).withUnsafeBytes { write(late, $0.baseAddress, $0.count) }
        close(late)
        await start.value
        try await pick.value
        guard case .open(let engine) = await shop.state else { return XCTFail("\(await shop.state)") }
        XCTAssertEqual(engine.info.products, 240)
    }

    func testBoxesLieWhereThePictureShowsThem() async throws {
        let (_, engine) = try await started()
        let shelf = try Data(contentsOf: demo.appendingPathComponent("shelf.jpg"))
        let scan = try await engine.scan(.photo(shelf))
        let (width, height) = (Float(390), Float(844))
        let placement = BoxPlacement(scan, width: width, height: height)
        XCTAssertEqual(placement.boxes.count, scan.items.count)
        XCTAssertGreaterThan(scan.items.count, 20)
        let scale = max(width / Float(scan.width), height / Float(scan.height))
        for (box, item) in zip(placement.boxes, scan.items) {
            XCTAssertEqual(box.area.width, item.area.width * scale, accuracy: 0.01)
            let middle = item.area.x + item.area.width / 2 - Float(scan.width) / 2
            XCTAssertEqual(box.area.x + box.area.width / 2, width / 2 + middle * scale, accuracy: 0.01)
            let hit = placement.box(atX: box.area.x + box.area.width / 2, y: box.area.y + box.area.height / 2)
            XCTAssertNotNil(hit)
            XCTAssertLessThanOrEqual(
                hit!.area.width * hit!.area.height, box.area.width * box.area.height + 0.01)
        }
        XCTAssertNil(placement.box(atX: -1000, y: 0))
        XCTAssertTrue(BoxPlacement(scan, width: 0, height: 0).boxes.isEmpty)
        XCTAssertTrue(scan.items.contains { Certainty($0.best) == .sure })
        XCTAssertEqual(Certainty(nil), .unknown)
    }

    func testTheNewestWordsWin() async throws {
        let (_, engine) = try await started()
        let search = WordSearch(engine: engine, wait: .milliseconds(30))
        let queries = AsyncStream<WordSearch.Query> { stream in
            Task {
                for words in ["s", "sw", "sweet", "sweet chili", "sweet chili chips"] {
                    stream.yield(.init(words: words))
                    try? await Task.sleep(for: .milliseconds(5))
                }
                try? await Task.sleep(for: .seconds(2))
                stream.yield(.init(words: "sweet chili chips", category: engine.info.categories.last))
                try? await Task.sleep(for: .seconds(2))
                stream.yield(.init(words: "☃"))
                try? await Task.sleep(for: .seconds(1))
                stream.yield(.init(words: "  "))
                stream.finish()
            }
        }
        var outcomes: [WordSearch.Outcome] = []
        for await outcome in search.outcomes(of: queries) { outcomes.append(outcome) }
        XCTAssertEqual(outcomes.count, 4, "\(outcomes.count) outcomes")
        let want = try await engine.find(text: "sweet chili chips", options: FindOptions(top: 30)).matches
        XCTAssertEqual(outcomes.first, .found(want))
        if case .found(let narrowed) = outcomes[1] {
            XCTAssertTrue(narrowed.allSatisfy { $0.product.category == engine.info.categories.last })
        } else {
            XCTFail("\(outcomes[1])")
        }
        XCTAssertEqual(outcomes.dropFirst(2), [.unknownWords, .nothingAsked])
    }

    func testAChoreGoesOnWithoutItsScreenAndIsCancelled() async throws {
        let (shop, engine) = try await started()
        let imports = Chore<PackInfo>()
        let pack = demo.appendingPathComponent("demo.shelf")
        await imports.start { shop.bringIn(pack) }
        var fractions: [Double] = []
        loop: for await state in await imports.states() {
            switch state {
            case .none: continue
            case .running(let fraction): fractions.append(fraction)
            case .refused(let reason): return XCTFail(reason)
            case .done(let info):
                XCTAssertEqual(info.products, 240)
                break loop
            }
        }
        XCTAssertEqual(fractions, fractions.sorted())
        guard case .open(let next) = await shop.state else { return XCTFail("no pack is open") }
        XCTAssertFalse(next === engine)
        // One whose source never gives anything.
        let pipe = folder.appendingPathComponent("pipe")
        XCTAssertEqual(mkfifo(pipe.path, 0o600), 0)
        await imports.start { shop.bringIn(pipe) }
        try await Task.sleep(for: .milliseconds(100))
        guard case .running = await imports.state else { return XCTFail("\(await imports.state)") }
        await imports.cancel()
        for _ in 0..<100 {
            if case .none = await imports.state { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        guard case .none = await imports.state else { return XCTFail("\(await imports.state)") }
        // The thread that waits for the pipe goes when somebody writes to it.
        close(open(pipe.path, O_RDWR))
        let missing = folder.appendingPathComponent("missing")
        await imports.start { shop.bringIn(missing) }
        for _ in 0..<100 {
            if case .refused = await imports.state { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        guard case .refused(let reason) = await imports.state else { return XCTFail("\(await imports.state)") }
        XCTAssertTrue(reason.contains("No such file"), reason)
        guard case .open(let same) = await shop.state, same === next else { return XCTFail("the pack was closed") }
    }

    func testTwoPacksBroughtInAtOnceLeaveOneEngine() async throws {
        let (shop, first) = try await started()
        let pack = demo.appendingPathComponent("demo.shelf")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<3 { group.addTask { for try await _ in shop.bringIn(pack) {} } }
            try await group.waitForAll()
        }
        guard case .open(let engine) = await shop.state else { return XCTFail("no pack is open") }
        XCTAssertFalse(engine === first)
        let found = try await engine.find(text: "chips")
        XCTAssertFalse(found.matches.isEmpty)
    }

    func testAPackIsBroughtInWhileAnotherIsUsed() async throws {
        let (shop, engine) = try await started()
        var bytes = try Data(contentsOf: demo.appendingPathComponent("demo.shelf"))
        bytes[bytes.count / 2] ^= 1
        let damaged = folder.appendingPathComponent("damaged")
        try bytes.write(to: damaged)
        do {
            for try await _ in shop.bringIn(damaged) {}
            XCTFail("a damaged pack was brought in")
        } catch {
            XCTAssertTrue(Shop.reason(error).contains("damaged"), Shop.reason(error))
        }
        guard case .open(let same) = await shop.state else { return XCTFail("the old pack was closed") }
        XCTAssertTrue(same === engine)
        var products: Int?
        for try await step in shop.bringIn(demo.appendingPathComponent("demo.shelf")) { products = step.result?.products }
        XCTAssertEqual(products, 240)
        guard case .open(let next) = await shop.state else { return XCTFail("no pack is open") }
        XCTAssertFalse(next === engine)
        do {
            _ = try await engine.find(text: "chips")
            XCTFail("the old engine is open")
        } catch {
            XCTAssertEqual(error as? ShelfSightError, .engineClosed)
        }
        let nothing = Shop(folder: folder.appendingPathComponent("nowhere"))
        await nothing.start(sample: nil)
        if case .none = await nothing.state {} else { XCTFail("a pack from nowhere") }
    }

    func testAReportBecomesATable() async throws {
        let (_, engine) = try await started()
        var json: String?
        let photo = try Data(contentsOf: demo.appendingPathComponent("photos/demo-0001.jpg"))
        for try await step in engine.benchmark(probes: [(photo, ["demo-0001"])], rounds: 1) { json = step.result }
        let table = try BenchmarkTable(json: try XCTUnwrap(json))
        XCTAssertTrue(table.rows.contains { $0.name.hasPrefix("encode image") && Double($0.first)! > 0 })
        XCTAssertTrue(table.rows.contains { $0.name == "recall@1 / @5 on 1 photos" })
        XCTAssertThrowsError(try BenchmarkTable(json: "{}"))
    }
}
