import Foundation
import ShelfSight
import XCTest

/// What a call costs beside the library's own work: the whole call less the stages that the library times itself. A
/// measurement: it prints, and asserts only that there was an answer. scripts/bench-calls.sh runs it alone, optimised.
final class CallCost: XCTestCase {
    func testMeasure() async throws {
        let engine = try await Engine.open(Demo.pack)
        let frame = Demo.Camera().frame(0)
        let options = FindOptions(barcodes: false)
        let clock = ContinuousClock()
        var times: [Double] = []
        for _ in 0..<120 {
            let start = clock.now
            let found = try await engine.find(frame, options: options)
            let (seconds, attoseconds) = (clock.now - start).components
            let whole = Double(seconds) * 1e6 + Double(attoseconds) / 1e12
            times.append(whole - found.times.map(\.milliseconds).reduce(0, +) * 1e3)
            XCTAssertEqual(found.matches.count, 10)
        }
        let sorted = times.dropFirst(20).sorted()
        print(String(format: "frame of 480 × 360, ten products, async: median %.1f µs, p95 %.1f µs", sorted[50], sorted[94]))
    }
}
