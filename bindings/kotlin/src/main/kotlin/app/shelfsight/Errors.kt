package app.shelfsight

import java.io.IOException

/**
 * What this library throws, other than [kotlin.coroutines.cancellation.CancellationException]. [reason] is one line
 * that says what is wrong and what to do; it holds no pixels, words or products of the user.
 */
public sealed class ShelfSightException(public val reason: String, cause: Throwable? = null) : IOException(reason, cause)

/**
 * The native library cannot be loaded: the app brings none for this device's processor (64-bit ARM is built), or R8 removed
 * what it needs. Nothing can be asked.
 */
public class LibraryUnavailableException internal constructor(reason: String, cause: Throwable) :
    ShelfSightException(reason, cause)

/** The pack cannot be opened or used. */
public sealed class PackException(reason: String, cause: Throwable? = null) : ShelfSightException(reason, cause)

/** There is no readable file at the path. */
public class PackNotFoundException internal constructor(reason: String) : PackException(reason)

/** The file is no pack, or not whole: copy or download it again. */
public class PackDamagedException internal constructor(reason: String) : PackException(reason)

/** The pack was written for a newer library, or is larger than allowed: update the app. */
public class PackUnsupportedException internal constructor(reason: String) : PackException(reason)

/** What [Packs.import] was to read from failed; its own exception is the cause. */
public class PackSourceException internal constructor(reason: String, cause: Throwable) : PackException(reason, cause)

/** Another engine edits the pack, in this app or another: one at a time may. Close that one, then try again. */
public class PackInUseException internal constructor(reason: String) : PackException(reason)

/** The pack was compacted, replaced or removed after it was opened: open it again to edit it. */
public class PackReplacedException internal constructor(reason: String) : PackException(reason)

/** Planes, strides, size or rotation that are no picture, a frame closed already, or a region outside it. */
public class FrameException internal constructor(reason: String) : ShelfSightException(reason)

/** A file that is no readable photo. */
public class PhotoException internal constructor(reason: String) : ShelfSightException(reason)

/** A query without picture and words, a filter that cannot be read, or too many products asked for. */
public open class QueryException internal constructor(reason: String) : ShelfSightException(reason)

/**
 * The pack's text encoder knows none of the words, as those of another script: nothing was searched. A search field shows
 * this as it shows that there is no match.
 */
public class UnknownWordsException internal constructor(reason: String) : QueryException(reason)

/** The pack lacks a model that the query needs, or the model cannot be run. */
public class ModelException internal constructor(reason: String) : ShelfSightException(reason)

/**
 * A product that cannot be added as it is: an empty id, a GTIN with a wrong digit, or nothing to find it by: neither
 * picture, nor words, nor GTIN.
 */
public class ProductException internal constructor(reason: String) : ShelfSightException(reason)

/** The product to add has the id of one that is there: have it replaced, or remove that one first. */
public class DuplicateProductException internal constructor(reason: String) : ShelfSightException(reason)

/** There is no product of this id, or it was removed before. */
public class NoSuchProductException internal constructor(reason: String) : ShelfSightException(reason)

/** The pack's folder cannot be written to: it is read-only, or the disk is full. Nothing was changed. */
public class StorageException internal constructor(reason: String, cause: Throwable? = null) :
    ShelfSightException(reason, cause)

/**
 * The query would pass [EngineOptions.maxMemoryBytes]: it needs [needed] bytes beside [inUse] that other queries hold,
 * of [allowed].
 */
public class MemoryCeilingException internal constructor(
    reason: String,
    public val needed: Long,
    public val inUse: Long,
    public val allowed: Long,
) : ShelfSightException(reason)

/** The [Engine] was closed, before the call or during it. */
public class EngineClosedException internal constructor() :
    ShelfSightException("the engine is closed; open the pack again")

/** A fault in the library; the query was given up, and the engine can be used further. Please report it. */
public class LibraryFaultException internal constructor(reason: String) : ShelfSightException(reason)
