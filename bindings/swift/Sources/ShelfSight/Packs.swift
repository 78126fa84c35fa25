import Foundation

/// Brings packs onto the device.
public enum Packs {
    /// Copies a pack from `source` to `target`, checks every byte, and only then puts it in place, in one step: an older
    /// pack at `target` stays until then, and engines that have it open keep it. What ``Engine/add(_:pictures:replace:)``
    /// added to the older pack goes with it.
    ///
    /// Its first bytes say whether it is a pack and how long: another file, a pack that is too large or one for which the
    /// disk has no room is refused before it is copied. Progress counts bytes copied; the last value holds what the pack
    /// says of itself.
    ///
    /// Cancelled, it ends at once, even while `source` blocks, as a file does that has to be fetched first. Cancelled or
    /// failed, it leaves nothing behind and `target` as it was.
    ///
    /// The stream throws ``ShelfSightError``: `packSource` if `source` cannot be read, `storage` if `target` cannot be
    /// written, and what ``Engine/open(_:options:)`` throws of packs; or `CancellationError`.
    ///
    /// - Parameter maxBytes: largest pack accepted; nil for the library's limit of 4 GiB.
    public static func `import`(
        from source: URL, to target: URL, maxBytes: UInt64? = nil
    ) -> AsyncThrowingStream<WorkProgress<PackInfo>, any Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { steps in
            let task = Task {
                let part = part(of: target)
                do {
                    defer { done(with: part) }
                    let transfer = try Transfer(from: source, to: part, of: target, maxBytes: maxBytes)
                    let copied = try await transfer.run { done, total in
                        steps.yield(WorkProgress(done: done, total: total, result: nil))
                    }
                    let engine = try await Engine.open(part, options: EngineOptions(maxPackBytes: maxBytes))
                    for try await _ in engine.verify() {}
                    engine.close()
                    try Task.checkCancellation()
                    // rename(2) replaces in one step, which FileManager promises nowhere.
                    guard rename(part.path, target.path) == 0 else { throw storage(target, errno) }
                    // After the pack: a crash in between leaves one that is refused until it is imported again, and loses
                    // nothing.
                    unlink(target.path + ".journal")
                    steps.yield(WorkProgress(done: copied, total: copied, result: engine.info))
                    steps.finish()
                } catch {
                    steps.finish(throwing: error)
                }
            }
            steps.onTermination = { _ in task.cancel() }
        }
    }

    /// A name beside `target` to copy into, which is not swept until it is ``done(with:)``.
    private static func part(of target: URL) -> URL {
        sweep(target, olderThan: 24 * 3600)
        let name = "\(prefix(target))\(UUID().uuidString).part"
        written.lock.withLock { _ = written.names.insert(name) }
        return target.deletingLastPathComponent().appendingPathComponent(name)
    }

    private static func done(with part: URL) {
        unlink(part.path)
        written.lock.withLock { _ = written.names.remove(part.lastPathComponent) }
    }

    /// Deletes what was left by processes that were killed; what another one of the app writes is younger than `seconds`.
    static func sweep(_ target: URL, olderThan seconds: TimeInterval) {
        let folder = target.deletingLastPathComponent()
        let limit = Date(timeIntervalSinceNow: -seconds)
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        where name.hasPrefix(prefix(target)) && name.hasSuffix(".part") {
            if written.lock.withLock({ written.names.contains(name) }) { continue }
            let path = folder.appendingPathComponent(name).path
            let changed = try? FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
            if let changed, changed <= limit { unlink(path) }
        }
    }

    private static func prefix(_ target: URL) -> String { ".\(target.lastPathComponent)." }

    /// Names of the files that this process copies into now.
    private final class Written: @unchecked Sendable {
        let lock = NSLock()
        var names: Set<String> = []
    }

    private static let written = Written()

    static func storage(_ target: URL, _ code: Int32) -> ShelfSightError {
        .storage(reason: "\(target.path) cannot be written: \(String(cString: strerror(code)))")
    }
}
