import Foundation
import ShelfSight

/// Work of some seconds or minutes that outlives the screen which began it, such as an import: one at a time.
public actor Chore<Result: Sendable> {
    /// How far it is.
    public enum State: Sendable {
        case none
        case running(fraction: Double)
        case refused(reason: String)
        case done(Result)
    }

    public private(set) var state = State.none
    private var task: Task<Void, Never>?
    private var watchers: [UUID: AsyncStream<State>.Continuation] = [:]

    public init() {}

    /// The state now and every later one.
    public func states() -> AsyncStream<State> {
        let (stream, watcher) = AsyncStream.makeStream(of: State.self, bufferingPolicy: .bufferingNewest(1))
        let id = UUID()
        watchers[id] = watcher
        watcher.onTermination = { _ in Task { await self.forget(id) } }
        watcher.yield(state)
        return stream
    }

    /// Begins `work`, after what ran has been cancelled and has ended.
    public func start(_ work: @escaping @Sendable () -> AsyncThrowingStream<WorkProgress<Result>, any Error>) {
        let before = task
        before?.cancel()
        task = Task {
            await before?.value
            become(.running(fraction: 0))
            do {
                var result: Result?
                for try await step in work() {
                    result = step.result
                    become(.running(fraction: step.fraction))
                }
                // A stream that is left early ends without a result.
                try Task.checkCancellation()
                if let result { become(.done(result)) } else { become(State.none) }
            } catch is CancellationError {
                become(State.none)
            } catch {
                become(.refused(reason: Shop.reason(error)))
            }
        }
    }

    /// Stops what runs.
    public func cancel() { task?.cancel() }

    private func become(_ next: State) {
        state = next
        for watcher in watchers.values { watcher.yield(next) }
    }

    private func forget(_ id: UUID) { watchers[id] = nil }
}
