import Foundation

/// Brings packs onto the device.
public enum Packs {
    /// Copies a pack from `source` to `target`, checks every byte, and only then puts it in place, in one step: an older
    /// pack at `target` stays until then, and engines that have it open keep it. What ``Engine/add(_:pictures:replace:)``
    /// added to the older pack goes with it.
    ///
    /// Progress counts bytes copied; the last value holds what the pack says of itself. Cancelled or failed, it leaves
    /// nothing behind.
    public static func `import`(from source: URL, to target: URL) -> AsyncThrowingStream<WorkProgress<PackInfo>, any Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { steps in
            let task = Task {
                let part = target.deletingLastPathComponent()
                    .appendingPathComponent(".\(target.lastPathComponent).\(UUID().uuidString).part")
                defer { try? FileManager.default.removeItem(at: part) }
                do {
                    let copied = try copy(source, part) { done, total in
                        steps.yield(WorkProgress(done: done, total: total, result: nil))
                    }
                    let engine = try await Engine.open(part, options: EngineOptions(verify: true))
                    engine.close()
                    try Task.checkCancellation()
                    // rename(2) replaces in one step, which FileManager promises nowhere.
                    guard rename(part.path, target.path) == 0 else {
                        throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: target.path])
                    }
                    // After the pack: a crash in between leaves one that is refused until it is imported again, and loses
                    // nothing.
                    try? FileManager.default.removeItem(atPath: target.path + ".journal")
                    steps.yield(WorkProgress(done: copied, total: copied, result: engine.info))
                    steps.finish()
                } catch {
                    steps.finish(throwing: error)
                }
            }
            steps.onTermination = { _ in task.cancel() }
        }
    }

    private static func copy(_ source: URL, _ target: URL, _ step: (UInt64, UInt64) -> Void) throws -> UInt64 {
        let size = try FileManager.default.attributesOfItem(atPath: source.path)[.size] as? UInt64 ?? 0
        let input = try FileHandle(forReadingFrom: source)
        defer { try? input.close() }
        _ = FileManager.default.createFile(atPath: target.path, contents: nil)
        let output = try FileHandle(forWritingTo: target)
        defer { try? output.close() }
        var done: UInt64 = 0
        while let block = try input.read(upToCount: 1 << 18), !block.isEmpty {
            try Task.checkCancellation()
            try output.write(contentsOf: block)
            done += UInt64(block.count)
            step(done, max(size, done))
        }
        try output.synchronize()
        return done
    }
}
