import ShelfSight

/// Search while typing: the newest words win, and a query that still runs for older ones is cancelled.
public struct WordSearch: Sendable {
    /// What is typed and chosen.
    public struct Query: Sendable, Equatable {
        public var words: String
        public var category: String?
        public var brand: String?

        public init(words: String = "", category: String? = nil, brand: String? = nil) {
            self.words = words
            self.category = category
            self.brand = brand
        }

        var filters: Filters {
            var conditions: [Filters.Condition] = []
            if let category { conditions.append(.category(category)) }
            if let brand { conditions.append(.brand(brand)) }
            return Filters(conditions)
        }
    }

    /// What is shown.
    public enum Outcome: Sendable, Equatable {
        case nothingAsked
        /// The pack knows none of the words.
        case unknownWords
        case found([Match])
        case refused(reason: String)
    }

    private let engine: Engine
    private let wait: Duration

    /// - Parameter wait: pause in typing before a query runs.
    public init(engine: Engine, wait: Duration = .milliseconds(120)) {
        self.engine = engine
        self.wait = wait
    }

    /// An outcome for the newest of `queries`, again and again.
    public func outcomes<Queries: AsyncSequence & Sendable>(
        of queries: Queries
    ) -> AsyncStream<Outcome> where Queries.Element == Query {
        AsyncStream(bufferingPolicy: .bufferingNewest(1)) { outcomes in
            let typing = Task {
                var running: Task<Void, Never>?
                do {
                    for try await query in queries {
                        running?.cancel()
                        running = Task {
                            if let outcome = await answer(query), !Task.isCancelled { outcomes.yield(outcome) }
                        }
                    }
                } catch {
                    outcomes.yield(.refused(reason: Shop.reason(error)))
                }
                await withTaskCancellationHandler {
                    [running] in await running?.value
                } onCancel: {
                    [running] in running?.cancel()
                }
                outcomes.finish()
            }
            outcomes.onTermination = { _ in typing.cancel() }
        }
    }

    /// Nil if a newer query came.
    private func answer(_ query: Query) async -> Outcome? {
        guard query.words.contains(where: { !$0.isWhitespace }) else { return .nothingAsked }
        do {
            try await Task.sleep(for: wait)
            let options = FindOptions(top: 30, filters: query.filters)
            return .found(try await engine.find(text: query.words, options: options).matches)
        } catch is CancellationError {
            return nil
        } catch ShelfSightError.unknownWords {
            return .unknownWords
        } catch {
            return .refused(reason: Shop.reason(error))
        }
    }
}
