import Foundation
import ShelfSight
import XCTest

// The code of docs/ios.md, word for word; scripts/check-guides.py compares.

func names(on photo: Data, pack: URL) async throws -> [String] {
    let engine = try await Engine.open(pack)
    let scan = try await engine.scan(.photo(photo))
    return scan.items.compactMap { $0.best?.product.title }
}

func show(_ frames: AsyncStream<Frame>, engine: Engine, overlay: ([Item]) -> Void) async throws {
    for try await result in engine.scan(frames: frames) {
        overlay(result.items)
    }
}

func teach(_ engine: Engine, id: String, title: String, photos: [Data]) async throws {
    try await engine.add(Product(id: id, title: title), pictures: photos.map { .photo($0) }, replace: true)
}

final class GuideTests: XCTestCase {
    private let demo = URL(
        fileURLWithPath: ProcessInfo.processInfo.environment["SHELFSIGHT_DEMO"] ?? "target/phone/demo")

    func testTheGuidesCodeNamesTheShelf() async throws {
        let photo = try Data(contentsOf: demo.appendingPathComponent("shelf.jpg"))
        let pack = demo.appendingPathComponent("demo.shelf")
        let found = try await names(on: photo, pack: pack)
        XCTAssertGreaterThan(found.count, 20)
        let engine = try await Engine.open(pack)
        let frames = AsyncStream<Frame> { stream in
            stream.yield(.photo(photo))
            stream.finish()
        }
        var seen: [String] = []
        try await show(frames, engine: engine) { seen = $0.compactMap { $0.best?.product.title } }
        XCTAssertEqual(seen, found)
    }

    func testTheGuidesProductIsFound() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let pack = folder.appendingPathComponent("shop.shelf")
        for try await _ in Packs.import(from: demo.appendingPathComponent("demo.shelf"), to: pack) {}
        let engine = try await Engine.open(pack)
        let photo = try Data(contentsOf: demo.appendingPathComponent("photos/demo-0001.jpg"))
        for _ in 0..<2 { try await teach(engine, id: "4711", title: "Plum jam of my own", photos: [photo]) }
        let found = try await engine.find(text: "plum jam of my own")
        XCTAssertEqual(found.best?.product.id, "4711")
        let seen = try await engine.find(.photo(photo), options: FindOptions(barcodes: false))
        XCTAssertTrue(seen.matches.prefix(2).contains { $0.product.id == "4711" })
        let now = try await engine.currentInfo()
        XCTAssertEqual(now.products, engine.info.products + 1)
    }
}
