import Foundation
import ShelfSight

/// What `shelfsight demo` drew, and what the command said about it.
enum Demo {
    static let folder = URL(
        fileURLWithPath: ProcessInfo.processInfo.environment["SHELFSIGHT_DEMO"] ?? "target/phone/demo")
    static let pack = folder.appendingPathComponent("demo.shelf")
    static let shelf = folder.appendingPathComponent("shelf.jpg")

    static func photos() throws -> [URL] {
        let all = try FileManager.default.contentsOfDirectory(
            at: folder.appendingPathComponent("photos"), includingPropertiesForKeys: nil)
        return all.sorted { $0.path < $1.path }
    }

    /// The pictures of a product that the pack was built with.
    static func pictures(_ id: String) throws -> [URL] {
        let all = try FileManager.default.contentsOfDirectory(
            at: folder.appendingPathComponent("catalogue"), includingPropertiesForKeys: nil)
        return all.filter { $0.lastPathComponent.hasPrefix("\(id)-") }.sorted { $0.path < $1.path }
    }

    struct Answer: Decodable {
        struct Found: Decodable {
            let id: String
            let score: Double
        }
        struct Item: Decodable {
            let box: [Float]
            let results: [Found]
        }
        let results: [Found]?
        let items: [Item]?
    }

    static func answer(_ name: String) throws -> Answer {
        let file = folder.appendingPathComponent("answers/\(name).json")
        return try JSONDecoder().decode(Answer.self, from: Data(contentsOf: file))
    }

    /// A window into a wall of boxes, as a camera would give it: Y and interleaved U, V. Counts those not yet released.
    final class Camera: @unchecked Sendable {
        let width: Int
        let height: Int
        private let lock = NSLock()
        private var open = 0
        private(set) var made = 0

        final class Memory: @unchecked Sendable {
            let bytes: UnsafeMutableRawBufferPointer
            init(_ count: Int) { bytes = .allocate(byteCount: count, alignment: 16) }
            deinit { bytes.deallocate() }
        }

        init(width: Int = 480, height: Int = 360) {
            self.width = width
            self.height = height
        }

        var inUse: Int { lock.withLock { open } }

        func frame(_ left: Int) -> Frame {
            lock.withLock {
                open += 1
                made += 1
            }
            let row = width + 16
            let memory = Memory(row * height * 3 / 2)
            for y in 0..<height {
                for x in 0..<width {
                    let block = ((x + left) / 40 &* 2_654_435_761) ^ (y / 60 &* 40_503)
                    memory.bytes[y * row + x] = UInt8(60 + (block >> 7) & 127)
                }
            }
            let chroma = row * height
            for i in chroma..<memory.bytes.count { memory.bytes[i] = UInt8(110 + (i / 37) % 40) }
            let all = UnsafeRawBufferPointer(memory.bytes)
            return .nv12(
                width: width, height: height,
                y: Plane(bytes: .init(rebasing: all[..<chroma]), bytesPerRow: row, bytesPerPixel: 1),
                uv: Plane(bytes: .init(rebasing: all[chroma...]), bytesPerRow: row, bytesPerPixel: 2),
                owner: memory,
                onRelease: { [self] in lock.withLock { open -= 1 } })
        }

        /// Waits a second at most: the thread that answered may still hold a frame when the answer is here already.
        func untilReleased() async {
            for _ in 0..<100 where inUse > 0 { try? await Task.sleep(nanoseconds: 10_000_000) }
        }

        func frames(_ places: [Int], every: UInt64) -> AsyncStream<Frame> {
            AsyncStream { stream in
                let task = Task {
                    for place in places {
                        stream.yield(self.frame(place))
                        try? await Task.sleep(nanoseconds: every)
                    }
                    stream.finish()
                }
                stream.onTermination = { _ in task.cancel() }
            }
        }
    }

    /// Bytes of this process that are in memory.
    static func resident() throws -> Int {
        let statm = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        return Int(statm.split(separator: " ")[1])! * 4096
    }
}
