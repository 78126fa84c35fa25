import Foundation
import ShelfSight
import XCTest

final class StreamTests: XCTestCase {
    private let eager = Pace(maxDetectionsPerSecond: 100, duty: 1, skipUnchanged: false)

    func testACancelledTaskEndsLongBeforeItsScanWould() async throws {
        let engine = try await Engine.open(Demo.pack)
        let shelf = try Data(contentsOf: Demo.shelf)
        try await engine.warmUp()
        let clock = ContinuousClock()
        let whole = try await clock.measure { _ = try await engine.scan(.photo(shelf)) }
        var ends: [Duration] = []
        for turn in 1...12 {
            let task = Task { try await engine.scan(.photo(shelf)) }
            try await Task.sleep(for: whole * turn / 16)
            let start = clock.now
            task.cancel()
            let result = await task.result
            ends.append(clock.now - start)
            if case .failure(let error) = result { XCTAssertTrue(error is CancellationError, "\(error)") }
        }
        ends.sort()
        print("scan \(whole); cancelled within \(ends[5]) (median), \(ends[11]) (worst of 12)")
        XCTAssertLessThan(ends[5], whole / 4)
    }

    func testClosingWhileBusyStopsWhatRuns() async throws {
        let engine = try await Engine.open(Demo.pack)
        let shelf = try Data(contentsOf: Demo.shelf)
        try await engine.warmUp()
        let tasks = (0..<3).map { _ in Task { try await engine.scan(.photo(shelf)) } }
        try await Task.sleep(for: .milliseconds(40))
        engine.close()
        var failures = 0
        for task in tasks {
            if case .failure(let error) = await task.result {
                XCTAssertEqual(error as? ShelfSightError, .engineClosed)
                failures += 1
            }
        }
        XCTAssertGreaterThan(failures, 0)
    }

    func testTheNewestFrameWinsAndEveryFrameIsReleased() async throws {
        let engine = try await Engine.open(Demo.pack)
        try await engine.warmUp()
        let camera = Demo.Camera()
        var results: [ScanResult] = []
        let places = Array(repeating: 0, count: 40) + Array(repeating: 200, count: 40)
        for try await result in engine.scan(frames: camera.frames(places, every: 2_000_000), pace: eager) {
            results.append(result)
        }
        XCTAssertLessThan(results.count, 80)
        XCTAssertGreaterThan(results.count, 0)
        XCTAssertEqual(camera.made, 80)
        await camera.untilReleased()
        XCTAssertEqual(camera.inUse, 0)
        let last = try await engine.scan(camera.frame(200))
        XCTAssertEqual(results.last?.items.map(\.best?.product.id), last.items.map(\.best?.product.id))
    }

    func testUnchangedFramesAreAnsweredFromBefore() async throws {
        let engine = try await Engine.open(Demo.pack)
        try await engine.warmUp()
        var efforts: [Effort] = []
        let frames = Demo.Camera().frames(Array(repeating: 0, count: 6), every: 100_000_000)
        for try await result in engine.scan(frames: frames) { efforts.append(result.effort) }
        XCTAssertEqual(efforts.first, .detected)
        XCTAssertTrue(efforts.dropFirst().allSatisfy { $0 == .unchanged }, "\(efforts)")
        engine.heat(.serious)
    }

    func testThousandsOfFramesLeaveNoTrace() async throws {
        let engine = try await Engine.open(Demo.pack)
        let camera = Demo.Camera()
        let frame = camera.frame(0)
        let options = FindOptions(top: 3, barcodes: false)
        func run(_ count: Int) async throws {
            for _ in 0..<count { _ = try await engine.find(frame, options: options) }
        }
        try await run(100)
        let before = try Demo.resident()
        try await run(1000)
        let grown = (try Demo.resident() - before) / 1024
        print("1,000 finds: \(grown) kB more in memory")
        XCTAssertLessThan(grown, 8_000)
    }

    func testLongWorkTellsHowFarItIs() async throws {
        let engine = try await Engine.open(Demo.pack)
        var last: WorkProgress<PackInfo>?
        for try await step in engine.verify() { last = step }
        XCTAssertEqual(last?.result, engine.info)
        let probes = try Demo.photos().prefix(2).map {
            (photo: try Data(contentsOf: $0), ids: Set([$0.deletingPathExtension().lastPathComponent]))
        }
        var report: String?
        for try await step in engine.benchmark(probes: probes, rounds: 1, facts: ["model": "Linux"]) {
            report = step.result
        }
        let json = try XCTUnwrap(report)
        XCTAssertTrue(json.contains("\"shelfsight-bench/1\"") && json.contains("\"recall@1\""), json)
    }

    func testHeatToldBeforeAStreamBeginsHoldsForIt() async throws {
        let engine = try await Engine.open(Demo.pack)
        try await engine.warmUp()
        func efforts() async throws -> [Effort] {
            let camera = Demo.Camera()
            // A frame is given when the one before was answered.
            let (frames, inlet) = AsyncStream.makeStream(of: Frame.self)
            inlet.yield(camera.frame(0))
            var efforts: [Effort] = []
            for try await result in engine.scan(frames: frames, pace: eager) {
                efforts.append(result.effort)
                if efforts.count < 4 { inlet.yield(camera.frame(efforts.count * 8)) } else { inlet.finish() }
            }
            return efforts
        }
        let cool = try await efforts()
        XCTAssertEqual(cool, Array(repeating: .detected, count: 4))
        engine.heat(.critical)
        let hot = try await efforts()
        XCTAssertEqual(hot.first, .detected)
        XCTAssertEqual(hot.count, 4)
        XCTAssertTrue(hot.dropFirst().allSatisfy { $0 != .detected }, "\(hot)")
        engine.heat(.nominal)
        let again = try await efforts()
        XCTAssertEqual(again, cool)
    }
}
