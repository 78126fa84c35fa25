import Foundation
import ShelfSight

/// Keeps one engine for all screens, and its pack in one place.
public actor Shop {
    /// What there is to search.
    public enum State: Sendable {
        case opening
        /// No pack yet.
        case none
        case refused(reason: String)
        case open(Engine)
    }

    public private(set) var state = State.opening
    private let pack: URL
    private var starting: Task<Void, Never>?
    private var opening: Task<Void, Never>?
    private var watchers: [UUID: AsyncStream<State>.Continuation] = [:]

    /// - Parameter folder: where the pack is kept, of the app alone. A pack can be had again, so the folder is made one
    ///   that backups leave out.
    public init(folder: URL) {
        pack = folder.appendingPathComponent("shop.shelf")
        // Without it the import says what is wrong.
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        #if canImport(Darwin)
            var values = URLResourceValues()
            values.isExcludedFromBackup = true
            var folder = folder
            try? folder.setResourceValues(values)
        #endif
    }

    /// The state now and every later one.
    public func states() -> AsyncStream<State> {
        let (stream, watcher) = AsyncStream.makeStream(of: State.self, bufferingPolicy: .bufferingNewest(1))
        let id = UUID()
        watchers[id] = watcher
        watcher.onTermination = { _ in Task { await self.forget(id) } }
        watcher.yield(state)
        return stream
    }

    private func forget(_ id: UUID) { watchers[id] = nil }

    /// Opens the pack that is there, or else brings in `sample`, which comes with the app.
    public func start(sample: URL?) async {
        let mine = Task { await begin(sample) }
        starting = mine
        await mine.value
    }

    private func begin(_ sample: URL?) async {
        if FileManager.default.fileExists(atPath: pack.path) { return await open() }
        guard let sample else { return become(.none) }
        do {
            for try await step in Packs.import(from: sample, to: pack) where step.result != nil { await open() }
        } catch {
            become(.refused(reason: Self.reason(error)))
        }
    }

    /// Brings in a pack and, when it is whole, opens it; the old one is used until then.
    public nonisolated func bringIn(_ source: URL) -> AsyncThrowingStream<WorkProgress<PackInfo>, any Error> {
        AsyncThrowingStream { steps in
            let task = Task {
                do {
                    // Else the sample could take the place of what the user picked.
                    await starting?.value
                    for try await step in Packs.import(from: source, to: pack) {
                        if step.result != nil { await open() }
                        steps.yield(step)
                    }
                    steps.finish()
                } catch {
                    steps.finish(throwing: error)
                }
            }
            steps.onTermination = { _ in task.cancel() }
        }
    }

    /// Opens the pack that lies there now. Two that come at once open one after the other: the later engine stays.
    private func open() async {
        let before = opening
        let mine = Task {
            await before?.value
            await reopen()
        }
        opening = mine
        await mine.value
    }

    private func reopen() async {
        let old = state
        do {
            // Queries of one camera and one search fit well below this.
            let options = EngineOptions(maxMemoryBytes: 256 << 20, threads: 2)
            become(.open(try await Engine.open(pack, options: options)))
        } catch {
            become(.refused(reason: Self.reason(error)))
        }
        if case .open(let engine) = old { engine.close() }
    }

    private func become(_ next: State) {
        state = next
        for watcher in watchers.values { watcher.yield(next) }
    }

    /// One line for people.
    public static func reason(_ error: any Error) -> String {
        (error as? ShelfSightError)?.reason ?? error.localizedDescription
    }
}
