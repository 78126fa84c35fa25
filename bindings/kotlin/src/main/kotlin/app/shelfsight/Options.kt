package app.shelfsight

import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers

/** How a pack is opened. */
public data class EngineOptions(
    /** Read and check every byte while opening; else damage is found when it is met. */
    val verify: Boolean = false,
    /** Largest pack accepted, in bytes; null for the library's limit of 4 GiB. */
    val maxPackBytes: Long? = null,
    /**
     * Most bytes that queries may hold at one time; a query beyond throws [MemoryCeilingException] instead of letting
     * the system end the app. The pack is mapped and does not count. Null for no ceiling.
     */
    val maxMemoryBytes: Long? = null,
    /** Threads that run a network at once; two or so pay on phones, all cores heat them. */
    val threads: Int = 1,
    /**
     * Where queries run. Each holds a thread of it until it has ended: on one with few threads others wait meanwhile, and
     * on the main thread the app stands still. To let few run at a time, give `Dispatchers.Default.limitedParallelism(n)`.
     * A caller who is on this dispatcher already is spared two changes of thread.
     */
    val dispatcher: CoroutineDispatcher = Dispatchers.Default,
)

/** What [Engine.find] looks for. */
public data class FindOptions(
    /** Products to return, at most 10,000. */
    val top: Int = 10,
    val filters: Filters = Filters.NONE,
    /** Part of the picture to look at, in pixels of the upright picture, cut at its borders; null for all of it. */
    val region: Area? = null,
    /** Read barcodes. */
    val barcodes: Boolean = true,
    /**
     * Compare the picture with the first products cell by cell and order them anew: fewer mistakes where the catalogue has one
     * picture of each product, for some milliseconds. The pack must have been built with `--rerank`.
     */
    val rerank: Boolean = false,
)

/** What [Engine.scan] looks for. */
public data class ScanOptions(
    /** Products to return a box, at most 10,000. */
    val top: Int = 3,
    /** Boxes to look at, the most certain first. */
    val maxBoxes: Int = 100,
    val filters: Filters = Filters.NONE,
    /** Read barcodes. */
    val barcodes: Boolean = true,
    /** As [FindOptions.rerank], in each box. A stream of frames is not reranked. */
    val rerank: Boolean = false,
)

/** How hard a flow of frames is worked on. */
public data class Pace(
    /** Most detections a second. */
    val maxDetectionsPerSecond: Float = 4f,
    /** Largest share of the time spent detecting and naming, in `0..1`; [Engine.heat] lowers it further. */
    val duty: Float = 0.5f,
    /** Carry boxes along with the picture between detections. */
    val track: Boolean = true,
    /** Answer a frame that has not changed with the last answer. */
    val skipUnchanged: Boolean = true,
)

/** How warm the device says it is: Android's `PowerManager.currentThermalStatus`, from NONE to SEVERE and beyond. */
public enum class Heat { NOMINAL, FAIR, SERIOUS, CRITICAL }
