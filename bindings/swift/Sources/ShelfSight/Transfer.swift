import Foundation
internal import ShelfSightBridge

/// Copies a file that may block for ever, in a thread of its own: nobody who is cancelled waits for it.
final class Transfer: @unchecked Sendable {
    /// Bytes by which a pack is told from any other file, and its length.
    private static let head = 64

    private let source: URL
    private let target: URL
    private let folder: String
    private let maxBytes: UInt64?
    private let output: Int32

    private let lock = NSLock()
    private var abandoned = false
    private var waiting: CheckedContinuation<UInt64, any Error>?

    /// - Throws: ``ShelfSightError/storage(reason:)`` if `part` cannot be made.
    init(from source: URL, to part: URL, of target: URL, maxBytes: UInt64?) throws {
        self.source = source
        self.target = target
        self.maxBytes = maxBytes
        folder = part.deletingLastPathComponent().path
        // Made here, so that a thread that goes on after a cancellation cannot make it again.
        output = open(part.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if output < 0 { throw Packs.storage(target, errno) }
    }

    /// Bytes copied; once.
    func run(_ step: @escaping @Sendable (UInt64, UInt64) -> Void) async throws -> UInt64 {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let late = lock.withLock { () -> Bool in
                    waiting = continuation
                    return abandoned
                }
                if late { finish(.failure(CancellationError())) }
                Thread.detachNewThread { self.finish(Result { try self.copy(step) }) }
            }
        } onCancel: {
            self.lock.withLock { self.abandoned = true }
            self.finish(.failure(CancellationError()))
        }
    }

    private func finish(_ outcome: Result<UInt64, any Error>) {
        let continuation = lock.withLock { () -> CheckedContinuation<UInt64, any Error>? in
            defer { waiting = nil }
            return waiting
        }
        continuation?.resume(with: outcome)
    }

    private func copy(_ step: (UInt64, UInt64) -> Void) throws -> UInt64 {
        defer { close(output) }
        guard source.isFileURL else { throw unreadable("it is not a file on this device") }
        let input = open(source.path, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw unreadable(String(cString: strerror(errno))) }
        defer { close(input) }
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        var filled = 0
        while filled < Self.head {
            let more = try take(input, &buffer, filled, Self.head - filled)
            if more == 0 { break }
            filled += more
        }
        let head = Data(buffer[..<filled])
        let wanted = try translated { try packLength(head: head, maxPackBytes: maxBytes) }
        // An import that was killed and is tried again has the room that its first try took.
        if let room = room(), room < wanted { Packs.sweep(target, olderThan: 0) }
        if let room = room(), room < wanted {
            throw ShelfSightError.storage(
                reason: "the pack has \(wanted) bytes, and \(room) are free where it would be put; make room")
        }
        var done: UInt64 = 0
        while true {
            try put(buffer, filled)
            done += UInt64(filled)
            step(min(done, wanted), wanted)
            // One byte more than wanted is enough to see that it is too long.
            if done > wanted { break }
            filled = try take(input, &buffer, 0, buffer.count)
            if filled == 0 { break }
        }
        guard fsync(output) == 0 else { throw Packs.storage(target, errno) }
        return done
    }

    /// Bytes free where the pack would be put.
    private func room() -> UInt64? {
        let disk = try? FileManager.default.attributesOfFileSystem(forPath: folder)
        return (disk?[.systemFreeSize] as? NSNumber)?.uint64Value
    }

    private func take(_ input: Int32, _ buffer: inout [UInt8], _ from: Int, _ count: Int) throws -> Int {
        while true {
            if lock.withLock({ abandoned }) { throw CancellationError() }
            let got = buffer.withUnsafeMutableBytes { read(input, $0.baseAddress! + from, count) }
            if got >= 0 { return got }
            if errno != EINTR { throw unreadable(String(cString: strerror(errno))) }
        }
    }

    private func put(_ buffer: [UInt8], _ count: Int) throws {
        var written = 0
        while written < count {
            let more = buffer.withUnsafeBytes { write(output, $0.baseAddress! + written, count - written) }
            if more >= 0 { written += more } else if errno != EINTR { throw Packs.storage(target, errno) }
        }
    }

    private func unreadable(_ why: String) -> ShelfSightError {
        .packSource(reason: "the pack cannot be read from where it comes: \(why)")
    }
}
