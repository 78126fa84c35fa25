/// What this library throws, other than `CancellationError`. A reason is one line that says what is wrong and what to do;
/// it holds no pixels, words or products of the user.
public enum ShelfSightError: Error, Sendable, Equatable {
    /// There is no readable file at the path.
    case packNotFound(reason: String)
    /// The file is no pack, or not whole: copy or download it again.
    case packDamaged(reason: String)
    /// The pack was written for a newer library, or is larger than allowed: update the app.
    case packUnsupported(reason: String)
    /// What ``Packs/import(from:to:maxBytes:)`` was to read from failed.
    case packSource(reason: String)
    /// Another engine edits the pack, in this app or another: one at a time may. Close that one, then try again.
    case packInUse(reason: String)
    /// The pack was compacted, replaced or removed after it was opened: open it again to edit it.
    case packReplaced(reason: String)
    /// Planes, strides, size or rotation that are no picture, or a region outside it.
    case frame(reason: String)
    /// A file that is no readable photo.
    case photo(reason: String)
    /// A query without picture and words, a filter that cannot be read, or too many products asked for.
    case query(reason: String)
    /// The pack's text encoder knows none of the words, as those of another script: nothing was searched. A search field
    /// shows this as it shows that there is no match.
    case unknownWords(reason: String)
    /// The pack lacks a model that the query needs, or the model cannot be run.
    case model(reason: String)
    /// A product that cannot be added as it is: an empty id, a GTIN with a wrong digit, or nothing to find it by: neither
    /// picture, nor words, nor GTIN.
    case product(reason: String)
    /// The product to add has the id of one that is there: have it replaced, or remove that one first.
    case duplicateProduct(reason: String)
    /// There is no product of this id, or it was removed before.
    case noSuchProduct(reason: String)
    /// The pack's folder cannot be written to: it is read-only, or the disk is full. Nothing was changed.
    case storage(reason: String)
    /// The query would pass ``EngineOptions/maxMemoryBytes``: it needs `needed` bytes beside `inUse` that other queries
    /// hold, of `allowed`.
    case memoryCeiling(needed: UInt64, inUse: UInt64, allowed: UInt64, reason: String)
    /// The engine was closed, before the call or during it.
    case engineClosed
    /// A fault in the library; the query was given up, and the engine can be used further. Please report it.
    case libraryFault(reason: String)

    /// One line for people.
    public var reason: String {
        switch self {
        case .packNotFound(let reason), .packDamaged(let reason), .packUnsupported(let reason), .frame(let reason),
            .photo(let reason), .query(let reason), .unknownWords(let reason), .packSource(let reason),
            .model(let reason), .memoryCeiling(_, _, _, let reason),
            .packInUse(let reason), .packReplaced(let reason), .product(let reason), .duplicateProduct(let reason),
            .noSuchProduct(let reason), .storage(let reason), .libraryFault(let reason):
            return reason
        case .engineClosed:
            return "the engine is closed; open the pack again"
        }
    }
}
