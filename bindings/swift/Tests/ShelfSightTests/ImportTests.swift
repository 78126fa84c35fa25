import Foundation
import ShelfSight
import XCTest

final class ImportTests: XCTestCase {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    private var target: URL { folder.appendingPathComponent("shop.shelf") }
    private let old = Data("the pack before".utf8)

    override func setUpWithError() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(at: folder) }

    private func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    }

    private func file(_ name: String, _ bytes: Data) throws -> URL {
        let url = folder.appendingPathComponent(name)
        try bytes.write(to: url)
        return url
    }

    private func bring(_ source: URL, to target: URL? = nil, maxBytes: UInt64? = nil) async throws {
        for try await _ in Packs.import(from: source, to: target ?? self.target, maxBytes: maxBytes) {}
    }

    func testAPackIsImportedWholeOrNotAtAll() async throws {
        var steps: [WorkProgress<PackInfo>] = []
        for try await step in Packs.import(from: Demo.pack, to: target) { steps.append(step) }
        XCTAssertEqual(steps.last?.result?.products, 240)
        XCTAssertTrue(steps.allSatisfy { $0.total == steps.last?.total && $0.fraction <= 1 })
        var bytes = try Data(contentsOf: Demo.pack)
        bytes[bytes.count / 3] &+= 1
        let damaged = try file("damaged", bytes)
        await refused("damaged", "packDamaged") { try await self.bring(damaged) }
        XCTAssertEqual(try names(), ["damaged", "shop.shelf"])
        _ = try await Engine.open(target, options: EngineOptions(verify: true))
    }

    func testWhatIsNoPackIsRefusedByItsFirstBytes() async throws {
        _ = try file("shop.shelf", old)
        // A hole of 4 GB: copying it would take minutes and fill the disk.
        let video = try file("video", Data([0, 0, 0, 32]) + Data("ftypisom".utf8))
        XCTAssertEqual(truncate(video.path, 4 << 30), 0)
        let clock = ContinuousClock()
        let time = await clock.measure { await refused("magic", "packDamaged") { try await self.bring(video) } }
        XCTAssertLessThan(time, .seconds(2))
        let pack = try Data(contentsOf: Demo.pack)
        await refused("allowed", "packUnsupported") { try await self.bring(Demo.pack, maxBytes: 1000) }
        let longer = try file("longer", pack)
        XCTAssertEqual(truncate(longer.path, 4 << 30), 0)
        await refused("header says", "packDamaged") { try await self.bring(longer) }
        for length in [0, 63, 64, 100_000] {
            let cut = try file("cut", pack.prefix(length))
            await refused("cut off", "packDamaged") { try await self.bring(cut) }
        }
        XCTAssertEqual(try names(), ["cut", "longer", "shop.shelf", "video"])
        XCTAssertEqual(try Data(contentsOf: target), old)
    }

    func testASourceOrATargetThatFailsIsTold() async throws {
        _ = try file("shop.shelf", old)
        let missing = folder.appendingPathComponent("missing")
        await refused("No such file", "packSource") { try await self.bring(missing) }
        await refused("directory", "packSource") { try await self.bring(self.folder) }
        let web = URL(string: "https://example.org/shop.shelf")!
        await refused("not a file on this device", "packSource") { try await self.bring(web) }
        let nowhere = folder.appendingPathComponent("nowhere/shop.shelf")
        await refused("nowhere", "storage") { try await self.bring(Demo.pack, to: nowhere) }
        let taken = folder.appendingPathComponent("taken")
        try FileManager.default.createDirectory(at: taken, withIntermediateDirectories: true)
        await refused("cannot be written", "storage") { try await self.bring(Demo.pack, to: taken) }
        XCTAssertEqual(try names(), ["shop.shelf", "taken"])
        XCTAssertEqual(try Data(contentsOf: target), old)
    }

    /// A pipe that nobody writes to: opening it waits, and once opened, reading does.
    func testCancelledItEndsAlthoughItsSourceBlocks() async throws {
        let target = try file("shop.shelf", old)
        let pipe = folder.appendingPathComponent("pipe")
        XCTAssertEqual(mkfifo(pipe.path, 0o600), 0)
        for opened in [false, true] {
            // For reading too, so that it does not wait for a reader.
            let writer = opened ? open(pipe.path, O_RDWR) : -1
            let work = Task { for try await _ in Packs.import(from: pipe, to: target) {} }
            try await Task.sleep(for: .milliseconds(200))
            let clock = ContinuousClock()
            let start = clock.now
            work.cancel()
            let result = await work.result
            XCTAssertLessThan(clock.now - start, .seconds(1))
            if case .failure(let error) = result { XCTAssertTrue(error is CancellationError, "\(error)") }
            // The stream ends for its reader at once, and sweeps a moment later.
            for _ in 0..<100 {
                if try names().count == 2 { break }
                try await Task.sleep(for: .milliseconds(10))
            }
            XCTAssertEqual(try names(), ["pipe", "shop.shelf"])
            // What still waits in its thread is let go, and changes nothing.
            let release = open(pipe.path, O_RDWR)
            _ = Data(repeating: 1, count: 100).withUnsafeBytes { write(release, $0.baseAddress, $0.count) }
            try await Task.sleep(for: .milliseconds(100))
            close(release)
            if writer >= 0 { close(writer) }
            XCTAssertEqual(try names(), ["pipe", "shop.shelf"])
            XCTAssertEqual(try Data(contentsOf: target), old)
        }
        try await bring(Demo.pack)
        let now = try await Engine.open(target)
        XCTAssertEqual(now.info.products, 240)
    }

    func testWhatAKilledProcessLeftGivesItsRoomToTheNextTry() async throws {
        _ = try file(".shop.shelf.123.part", old)
        // One that is copied now.
        let pipe = folder.appendingPathComponent("pipe")
        XCTAssertEqual(mkfifo(pipe.path, 0o600), 0)
        let target = target
        let other = Task { for try await _ in Packs.import(from: pipe, to: target) {} }
        while try names().filter({ $0.hasSuffix(".part") }).count < 2 { try await Task.sleep(for: .milliseconds(10)) }
        // The header of a pack for which no disk has room: its length is at byte 16, a checksum at the end.
        var huge = try Data(contentsOf: Demo.pack).prefix(64)
        withUnsafeBytes(of: UInt64(1 << 60).littleEndian) { huge.replaceSubrange(16..<24, with: $0) }
        withUnsafeBytes(of: crc32(huge.prefix(60)).littleEndian) { huge.replaceSubrange(60..<64, with: $0) }
        let source = try file("huge", huge)
        await refused("make room", "storage") { try await self.bring(source, maxBytes: .max) }
        let parts = try names().filter { $0.hasSuffix(".part") }
        XCTAssertEqual(parts.count, 1)
        XCTAssertNotEqual(parts, [".shop.shelf.123.part"])
        other.cancel()
        _ = await other.result
        close(open(pipe.path, O_RDWR))
    }

    private func crc32(_ bytes: Data) -> UInt32 {
        ~bytes.reduce(~0) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
        }
    }

    func testWhatAKilledProcessLeftIsSwept() async throws {
        let stale = try file(".shop.shelf.123.part", old)
        let date = Date(timeIntervalSinceNow: -48 * 3600)
        try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: stale.path)
        try await bring(Demo.pack)
        XCTAssertEqual(try names(), ["shop.shelf"])
    }
}
