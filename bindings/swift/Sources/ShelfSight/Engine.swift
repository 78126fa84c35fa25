import Dispatch
import Foundation
internal import ShelfSightBridge

/// An open pack: names products in pictures, offline.
///
/// ```swift
/// let engine = try await Engine.open(packURL)
/// let found = try await engine.find(.photo(jpeg))
/// print(found.best?.product.title ?? "nothing like it")
///
/// for try await result in engine.scan(frames: cameraFrames) {
///     overlay.show(result.items)
/// }
/// ```
///
/// Any number of tasks may use one engine at the same time, and several engines one pack. Cancelling a task stops the
/// network and the search it waits for within milliseconds; the call then throws `CancellationError`, and its frame is
/// no longer read. Nothing is logged, and nothing leaves the device.
public actor Engine {
    private nonisolated let native: NativeEngine
    private nonisolated let url: URL

    /// What the pack said of itself when it was opened; ``currentInfo()`` says it again after edits.
    public nonisolated let info: PackInfo

    private init(native: NativeEngine, url: URL) throws {
        self.native = native
        self.url = url
        info = try translated { PackInfo(try native.summary()) }
    }

    deinit { native.shut() }

    /// Maps the pack at `url` and checks it.
    ///
    /// - Throws: ``ShelfSightError`` if it is missing, damaged, or too new; `CancellationError` if the task is cancelled,
    ///   and nothing is open then.
    public static func open(_ url: URL, options: EngineOptions = EngineOptions()) async throws -> Engine {
        let opened = try await background {
            let settings = OpenSettings(
                verify: options.verify, maxPackBytes: options.maxPackBytes, maxMemoryBytes: options.maxMemoryBytes,
                threads: options.threads)
            return try Engine(native: translated { try NativeEngine.open(path: url.path, settings: settings) }, url: url)
        }
        // At once: the thread that opened it may hold it for a moment longer.
        if Task.isCancelled { opened.close() }
        try Task.checkCancellation()
        return opened
    }

    /// The products most likely to be what `frame` shows or `text` says, best first: give a picture of one product, words
    /// (a name, a brand, a GTIN), or both. No match is an empty list.
    ///
    /// - Throws: ``ShelfSightError``, or `CancellationError` if the task is cancelled.
    public nonisolated func find(
        _ frame: Frame? = nil, text: String? = nil, options: FindOptions = FindOptions()
    ) async throws -> FindResult {
        let region = options.region.map { ShelfSightBridge.Area($0) }
        let work = Work.find(text: text, region: region, top: options.top, rerank: options.rerank)
        return try FindResult(await query(frame, work, options.filters, barcodes: options.barcodes))
    }

    /// Every product place in `frame`, each with the products it most likely shows.
    ///
    /// - Throws: ``ShelfSightError``, or `CancellationError` if the task is cancelled.
    public nonisolated func scan(_ frame: Frame, options: ScanOptions = ScanOptions()) async throws -> ScanResult {
        let work = Work.scan(top: options.top, maxBoxes: options.maxBoxes, rerank: options.rerank)
        return try ScanResult(await query(frame, work, options.filters, barcodes: options.barcodes))
    }

    /// The products in a stream of camera frames. The newest frame wins: one that arrives while another is looked at
    /// waits, and is dropped if a newer one comes.
    ///
    /// Neighbouring frames show almost the same, so not each is scanned: what has not changed is answered from before,
    /// boxes are carried along with the picture and keep their ``Item/track``, and only new ones are named. `pace` says
    /// how much of the time may be spent.
    ///
    /// The stream ends with `frames`, and throws what they throw or a ``ShelfSightError``. Leaving it stops the work.
    public nonisolated func scan<Frames: AsyncSequence & Sendable>(
        frames: Frames, options: ScanOptions = ScanOptions(), pace: Pace = Pace()
    ) -> AsyncThrowingStream<ScanResult, any Error> where Frames.Element == Frame {
        AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { results in
            let work = Task {
                do {
                    try await self.follow(frames, options, pace) { results.yield($0) }
                    results.finish()
                } catch {
                    results.finish(throwing: error)
                }
            }
            results.onTermination = { _ in work.cancel() }
        }
    }

    /// Adds a product to the catalogue. ``find(_:text:options:)``, ``scan(_:options:)`` and streams that run see it at
    /// once, and so does every engine that opens the pack later: when this returns it is on disk, in a file beside the
    /// pack (`NAME.shelf.journal`).
    ///
    /// It is found by its pictures, each of the product alone, by its words, and by its GTIN; any of the three will do.
    /// The frames are read as ``find(_:text:options:)`` reads them, and not kept.
    ///
    /// Cancelled or failed, it adds nothing; cancelled when it is too late for that, it returns as if it had not been.
    ///
    /// - Parameter replace: removes the product of the same id, with its pictures, in the same step.
    /// - Throws: ``ShelfSightError``: ``ShelfSightError/duplicateProduct(reason:)`` if the id is taken and `replace` is
    ///   false, ``ShelfSightError/product(reason:)`` if the product cannot be added as it is, `storage`, `packInUse`,
    ///   `packReplaced`, and what ``find(_:text:options:)`` throws of pictures; or `CancellationError`.
    public nonisolated func add(_ product: Product, pictures: [Frame] = [], replace: Bool = false) async throws {
        var codes: [Data] = []
        for picture in pictures {
            guard case .coded(let code) = try await query(picture, .code, [], barcodes: false) else {
                throw ShelfSightError.libraryFault(reason: "the library answered a picture with something else")
            }
            codes.append(code)
        }
        try await job { [codes] job in
            try self.native.add(job: job, product: ProductRecord(product), codes: codes, replace: replace)
        }
    }

    /// Removes the product of this id, as lastingly as ``add(_:pictures:replace:)`` adds one: queries that begin
    /// afterwards never return it, and streams that run no longer show it.
    ///
    /// - Throws: ``ShelfSightError``: ``ShelfSightError/noSuchProduct(reason:)`` if there is none, `storage`, `packInUse`
    ///   or `packReplaced`.
    public nonisolated func remove(id: Product.ID) async throws {
        try await job { _ in try self.native.remove(id: id) }
    }

    /// Makes one pack of the pack and what was added to and removed from it, in the pack's place; answers stay the same.
    /// Nil if there is nothing to do. Do it now and then: opening reads what was added, and what was removed takes room.
    ///
    /// This engine goes on to answer from the old pack, and edits throw ``ShelfSightError/packReplaced(reason:)``: open
    /// the pack again.
    ///
    /// It takes as much room again as the pack while it works. A crash, or the end of the app, leaves the old pack or the
    /// new one; a task that is cancelled waits for its end.
    ///
    /// - Throws: ``ShelfSightError``: `storage`, `packInUse` or `packReplaced`.
    public nonisolated func compact() async throws -> Compacted? {
        let done = try await job { _ in try self.native.compact() }
        return done.map { Compacted(products: Int($0.products), bytesBefore: $0.before, bytesAfter: $0.after) }
    }

    /// What the pack says of itself now; reads every product.
    public nonisolated func currentInfo() async throws -> PackInfo {
        try await background { try translated { PackInfo(try self.native.summary()) } }
    }

    /// Tells streams of frames how warm the device is; they work less the warmer it gets.
    public nonisolated func heat(_ heat: Heat) {
        switch heat {
        case .nominal: native.heat(level: .nominal)
        case .fair: native.heat(level: .fair)
        case .serious: native.heat(level: .serious)
        case .critical: native.heat(level: .critical)
        }
    }

    /// Loads every model now instead of at the first query.
    public nonisolated func warmUp() async throws {
        try await background { try translated { try self.native.warmUp() } }
    }

    /// Reads and checks every byte of the pack; the stream throws ``ShelfSightError/packDamaged(reason:)`` at the first
    /// fault.
    public nonisolated func verify() -> AsyncThrowingStream<WorkProgress<PackInfo>, any Error> {
        work { job, listener in
            try self.native.verify(job: job, progress: listener)
            return self.info
        }
    }

    /// Measures speed, memory and, with `probes`, recall on this device. The result is a report in JSON, the same that
    /// the command `shelfsight bench device` prints.
    ///
    /// - Parameters:
    ///   - probes: photos of known products, as JPEG, PNG or WebP files, each with the ids of the right products.
    ///   - shelf: a photo of a shelf to scan.
    ///   - facts: what the app knows of the device, such as its model; goes into the report.
    public nonisolated func benchmark(
        probes: [(photo: Data, ids: Set<String>)] = [], shelf: Data? = nil, rounds: UInt32 = 20,
        facts: [String: String] = [:]
    ) -> AsyncThrowingStream<WorkProgress<String>, any Error> {
        let settings = BenchSettings(
            path: url.path, rounds: rounds, restMs: 0, shelf: shelf ?? Data(),
            facts: facts.sorted { $0.key < $1.key }.map { Attribute(name: $0.key, value: $0.value) })
        let probes = probes.map { Probe(photo: $0.photo, ids: $0.ids.sorted()) }
        return work { job, listener in
            try self.native.bench(job: job, settings: settings, probes: probes, progress: listener)
        }
    }

    /// Stops whatever runs, which throws ``ShelfSightError/engineClosed``, and lets go of the pack when it has returned.
    /// Later queries throw the same; closing again does nothing. An engine that is no longer used closes by itself.
    public nonisolated func close() { native.shut() }

    // MARK: - Calls

    private nonisolated func conditions(_ filters: Filters) -> [Condition] {
        filters.conditions.map { Condition(column: $0.column, values: $0.values) }
    }

    private nonisolated func query(
        _ frame: Frame?, _ work: Work, _ filters: Filters, barcodes: Bool
    ) async throws -> Reply {
        let conditions = conditions(filters)
        return try await job { job in
            let request = Request(
                job: job, layout: frame?.layout, work: work, conditions: conditions, barcodes: barcodes)
            let plane = { (index: Int) in frame?.plane(index) ?? Data() }
            // The planes' owner must outlive the call that reads them.
            return try withExtendedLifetime(frame) {
                try self.native.query(request: request, plane0: plane(0), plane1: plane(1), plane2: plane(2))
            }
        }
    }

    private nonisolated func follow<Frames: AsyncSequence & Sendable>(
        _ frames: Frames, _ options: ScanOptions, _ pace: Pace, _ show: @Sendable (ScanResult) -> Void
    ) async throws where Frames.Element == Frame {
        let settings = FollowSettings(
            top: options.top, maxBoxes: options.maxBoxes, conditions: conditions(options.filters),
            maxDetectionsPerSecond: pace.maxDetectionsPerSecond, duty: pace.duty, track: pace.track,
            skipUnchanged: pace.skipUnchanged)
        let session = try translated { try native.follow(settings: settings) }
        defer { native.unfollow(session: session) }
        let (newest, inlet) = AsyncThrowingStream.makeStream(
            of: Frame.self, throwing: (any Error).self, bufferingPolicy: .bufferingNewest(1))
        let feeder = Task {
            do {
                for try await frame in frames { inlet.yield(frame) }
                inlet.finish()
            } catch {
                inlet.finish(throwing: error)
            }
        }
        defer { feeder.cancel() }
        for try await frame in newest {
            // The filters are the session's.
            let reply = try await query(frame, .follow(session: session), [], barcodes: options.barcodes)
            show(try ScanResult(reply))
        }
        try Task.checkCancellation()
    }

    private nonisolated func work<Result: Sendable>(
        _ run: @escaping @Sendable (UInt64, Listener) throws -> Result
    ) -> AsyncThrowingStream<WorkProgress<Result>, any Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { steps in
            let listener = Listener { done, total in steps.yield(WorkProgress(done: done, total: total, result: nil)) }
            let task = Task {
                do {
                    let result = try await self.job { try run($0, listener) }
                    steps.yield(WorkProgress(done: listener.total, total: listener.total, result: result))
                    steps.finish()
                } catch {
                    steps.finish(throwing: error)
                }
            }
            steps.onTermination = { _ in task.cancel() }
        }
    }

    /// Runs `block` away from the cooperative pool. A cancelled task stops it and waits for its end.
    private nonisolated func job<Result: Sendable>(
        _ block: @escaping @Sendable (UInt64) throws -> Result
    ) async throws -> Result {
        try Task.checkCancellation()
        let native = native
        let job = try translated { try native.begin() }
        defer { native.end(job: job) }
        return try await withTaskCancellationHandler {
            try await background { try translated { try block(job) } }
        } onCancel: {
            native.cancel(job: job)
        }
    }
}

/// Hears progress from the library's thread.
final class Listener: ShelfSightBridge.Progress, @unchecked Sendable {
    private let lock = NSLock()
    private var last: UInt64 = 0
    private let heard: @Sendable (UInt64, UInt64) -> Void

    init(_ heard: @escaping @Sendable (UInt64, UInt64) -> Void) { self.heard = heard }

    var total: UInt64 { lock.withLock { last } }

    func step(done: UInt64, total: UInt64) {
        lock.withLock { last = total }
        heard(done, total)
    }
}

/// Runs blocking work on a thread of its own kind, so that tasks elsewhere go on.
private func background<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global(qos: .userInitiated).async {
            continuation.resume(with: Swift.Result { try work() })
        }
    }
}
