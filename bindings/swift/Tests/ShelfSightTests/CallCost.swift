import Foundation
import ShelfSight
import ShelfSightBridge
import XCTest

/// What a call costs beside the library's own work: of a frame, the whole call less the stages that the library times
/// itself. A measurement: it prints, and asserts only that there was an answer. scripts/bench-calls.sh runs it alone,
/// optimised.
final class CallCost: XCTestCase {
    private func show(_ name: String, _ times: [Double]) {
        let sorted = times.sorted()
        let (median, p95) = (sorted[sorted.count / 2], sorted[sorted.count * 95 / 100])
        let padded = name.padding(toLength: 44, withPad: " ", startingAt: 0)
        print("\(padded) median \(String(format: "%9.3f", median)) µs   p95 \(String(format: "%9.3f", p95)) µs")
    }

    private func microseconds(_ time: Duration) -> Double {
        Double(time.components.seconds) * 1e6 + Double(time.components.attoseconds) / 1e12
    }

    func testMeasure() async throws {
        let clock = ContinuousClock()
        let settings = OpenSettings(verify: false, maxPackBytes: nil, maxMemoryBytes: nil, threads: 1)
        let native = try NativeEngine.open(path: Demo.pack.path, settings: settings)
        var key: UInt64 = 0
        let empty = (0..<300).map { _ in
            microseconds(clock.measure { for _ in 0..<1000 { key &+= native.key() } }) / 1000
        }
        XCTAssertGreaterThan(key, 0)
        show("empty call", Array(empty.dropFirst(100)))
        native.shut()
        let engine = try await Engine.open(Demo.pack)
        let frame = Demo.Camera(width: 1280, height: 960).frame(0)
        let options = FindOptions(barcodes: false)
        var times: [Double] = []
        for _ in 0..<300 {
            let start = clock.now
            let found = try await engine.find(frame, options: options)
            times.append(microseconds(clock.now - start) - found.times.map(\.milliseconds).reduce(0, +) * 1e3)
            XCTAssertEqual(found.matches.count, 10)
        }
        show("frame of 1280 × 960, ten products, async", Array(times.dropFirst(100)))
    }
}
