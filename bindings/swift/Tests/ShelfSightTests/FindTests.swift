import Foundation
import ShelfSight
import XCTest

final class FindTests: XCTestCase {
    func testPhotosFindWhatTheCommandFinds() async throws {
        let engine = try await Engine.open(Demo.pack)
        for photo in try Demo.photos().prefix(3) {
            let want = try Demo.answer(photo.deletingPathExtension().lastPathComponent).results ?? []
            let found = try await engine.find(.photo(Data(contentsOf: photo)))
            XCTAssertEqual(found.matches.map(\.product.id), want.map(\.id))
            for (a, b) in zip(want, found.matches) { XCTAssertEqual(a.score, Double(b.score), accuracy: 6e-5) }
            XCTAssertTrue(found.times.contains { $0.stage == "encode" && $0.milliseconds > 0 })
        }
    }

    func testWordsAndFilters() async throws {
        let engine = try await Engine.open(Demo.pack)
        let want = try Demo.answer("words").results ?? []
        let found = try await engine.find(text: "sweet chili chips")
        XCTAssertEqual(found.matches.map(\.product.id), want.map(\.id))
        let gtin = try XCTUnwrap(found.best?.product.gtin)
        let byNumber = try await engine.find(text: gtin)
        XCTAssertEqual(byNumber.best?.product.id, found.best?.product.id)
        XCTAssertEqual(byNumber.best?.evidence.barcode, true)
        let category = engine.info.categories[1]
        let narrow = try await engine.find(
            text: "red", options: FindOptions(filters: [.category(category.uppercased())]))
        XCTAssertFalse(narrow.matches.isEmpty)
        XCTAssertTrue(narrow.matches.allSatisfy { $0.product.category == category })
        let none = try await engine.find(text: "red", options: FindOptions(filters: [.id("no|such")]))
        XCTAssertTrue(none.matches.isEmpty)
    }

    func testAShelfIsScannedAsTheCommandScansIt() async throws {
        let engine = try await Engine.open(Demo.pack)
        let want = try Demo.answer("shelf").items ?? []
        let scan = try await engine.scan(.photo(Data(contentsOf: Demo.shelf)))
        XCTAssertEqual(scan.items.count, want.count)
        for (a, b) in zip(want, scan.items) {
            XCTAssertEqual(a.box[0], b.area.x, accuracy: 0.1)
            XCTAssertEqual(a.results.map(\.id), b.matches.map(\.product.id))
            XCTAssertNil(b.track)
        }
    }

    func testManyTasksAndTwoEnginesGiveOneAnswer() async throws {
        let camera = Demo.Camera()
        let engine = try await Engine.open(Demo.pack)
        let second = try await Engine.open(Demo.pack, options: EngineOptions(threads: 2))
        let options = FindOptions(top: 3, barcodes: false)
        let alone = try await engine.find(camera.frame(0), options: options).matches
        try await withThrowingTaskGroup(of: [Match].self) { group in
            for i in 0..<24 {
                let frame = camera.frame(0)
                group.addTask { try await (i % 3 == 0 ? second : engine).find(frame, options: options).matches }
            }
            for try await matches in group { XCTAssertEqual(matches, alone) }
        }
        await camera.untilReleased()
        XCTAssertEqual(camera.inUse, 0)
    }
}
