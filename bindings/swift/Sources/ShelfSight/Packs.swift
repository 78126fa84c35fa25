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
                defer { unlink(part.path) }
                do {
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

    /// A name beside `target` to copy into; what a killed process left of earlier ones is swept.
    private static func part(of target: URL) -> URL {
        let folder = target.deletingLastPathComponent()
        let prefix = ".\(target.lastPathComponent)."
        let dayAgo = Date(timeIntervalSinceNow: -24 * 3600)
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        where name.hasPrefix(prefix) && name.hasSuffix(".part") {
            let path = folder.appendingPathComponent(name).path
            let changed = try? FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
            if let changed, changed < dayAgo { unlink(path) }
        }
        return folder.appendingPathComponent("\(prefix)\(UUID().uuidString).part")
    }

    static func storage(_ target: URL, _ code: Int32) -> ShelfSightError {
        .storage(reason: "\(target.path) cannot be written: \(String(cString: strerror(code)))")
    }
}
