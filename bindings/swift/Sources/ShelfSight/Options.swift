/// How a pack is opened.
public struct EngineOptions: Sendable, Equatable {
    /// Read and check every byte while opening; else damage is found when it is met.
    public var verify = false
    /// Largest pack accepted, in bytes; nil for the library's limit of 4 GiB.
    public var maxPackBytes: UInt64?
    /// Most bytes that queries may hold at one time; a query beyond throws ``ShelfSightError/memoryCeiling`` instead of
    /// letting the system end the app. The pack is mapped and does not count. Nil for no ceiling.
    public var maxMemoryBytes: UInt64?
    /// Threads that run a network at once; two or so pay on phones, all cores heat them.
    public var threads: UInt32 = 1

    public init(
        verify: Bool = false, maxPackBytes: UInt64? = nil, maxMemoryBytes: UInt64? = nil, threads: UInt32 = 1
    ) {
        self.verify = verify
        self.maxPackBytes = maxPackBytes
        self.maxMemoryBytes = maxMemoryBytes
        self.threads = threads
    }
}

/// What ``Engine/find(_:text:options:)`` looks for.
public struct FindOptions: Sendable, Equatable {
    /// Products to return, at most 10,000.
    public var top: UInt32
    public var filters: Filters
    /// Part of the picture to look at, in pixels of the upright picture, cut at its borders; nil for all of it.
    public var region: Area?
    /// Read barcodes.
    public var barcodes: Bool
    /// Compare the picture with the first products cell by cell and order them anew: fewer mistakes where the catalogue has one
    /// picture of each product, for some milliseconds. The pack must have been built with `--rerank`.
    public var rerank: Bool

    public init(
        top: UInt32 = 10, filters: Filters = [], region: Area? = nil, barcodes: Bool = true, rerank: Bool = false
    ) {
        self.top = top
        self.filters = filters
        self.region = region
        self.barcodes = barcodes
        self.rerank = rerank
    }
}

/// What ``Engine/scan(_:options:)`` looks for.
public struct ScanOptions: Sendable, Equatable {
    /// Products to return a box, at most 10,000.
    public var top: UInt32
    /// Boxes to look at, the most certain first.
    public var maxBoxes: UInt32
    public var filters: Filters
    /// Read barcodes.
    public var barcodes: Bool
    /// As ``FindOptions/rerank``, in each box. A stream of frames is not reranked.
    public var rerank: Bool

    public init(
        top: UInt32 = 3, maxBoxes: UInt32 = 100, filters: Filters = [], barcodes: Bool = true, rerank: Bool = false
    ) {
        self.top = top
        self.maxBoxes = maxBoxes
        self.filters = filters
        self.barcodes = barcodes
        self.rerank = rerank
    }
}

/// How hard a stream of frames is worked on.
public struct Pace: Sendable, Equatable {
    /// Most detections a second.
    public var maxDetectionsPerSecond: Float
    /// Largest share of the time spent detecting and naming, in `0...1`; ``Engine/heat(_:)`` lowers it further.
    public var duty: Float
    /// Carry boxes along with the picture between detections.
    public var track: Bool
    /// Answer a frame that has not changed with the last answer.
    public var skipUnchanged: Bool

    public init(maxDetectionsPerSecond: Float = 4, duty: Float = 0.5, track: Bool = true, skipUnchanged: Bool = true) {
        self.maxDetectionsPerSecond = maxDetectionsPerSecond
        self.duty = duty
        self.track = track
        self.skipUnchanged = skipUnchanged
    }
}

/// How warm the device says it is: `ProcessInfo.thermalState`.
public enum Heat: Sendable, Equatable {
    case nominal, fair, serious, critical
}
