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
}
