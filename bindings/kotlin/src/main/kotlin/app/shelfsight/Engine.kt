package app.shelfsight

import app.shelfsight.internal.Attribute
import app.shelfsight.internal.BenchSettings
import app.shelfsight.internal.Bridge
import app.shelfsight.internal.FastPath
import app.shelfsight.internal.FollowSettings
import app.shelfsight.internal.HeatLevel
import app.shelfsight.internal.Library
import app.shelfsight.internal.NativeEngine
import app.shelfsight.internal.OpenSettings
import app.shelfsight.internal.Probe
import app.shelfsight.internal.Request
import app.shelfsight.internal.Work
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import java.io.File
import app.shelfsight.internal.Progress as ProgressListener

/**
 * An open pack: names products in pictures, offline.
 *
 * ```
 * Engine.open(File(filesDir, "shop.shelf")).use { engine ->
 *     val found = engine.find(Frame.photo(jpeg))
 *     println(found.best?.product?.title)
 *
 *     engine.scan(cameraFrames).collect { result -> overlay.show(result.items) }
 * }
 * ```
 *
 * Any number of coroutines may use one engine at the same time, and several engines one pack. Cancelling a coroutine
 * stops the network and the search it waits for within milliseconds, and the call returns only then: its frame may be
 * closed right after. Nothing is logged, and nothing leaves the device.
 */
public class Engine private constructor(
    private val native: NativeEngine,
    private val file: File,
    private val options: EngineOptions,
) : AutoCloseable {
    private val key = native.key().toLong()

    /** What the pack says of itself. */
    public val info: PackInfo = Bridge.translated {
        native.summary().let { summary ->
            PackInfo(
                products = summary.products.toInt(),
                bytes = summary.bytes.toLong(),
                format = summary.format.toInt(),
                created = summary.created.toLong(),
                generator = summary.generator,
                findsPictures = summary.findsPictures,
                findsWords = summary.findsWords,
                scans = summary.scans,
                licences = summary.licences.map { Licence(it.what, it.licence, it.attribution) },
                categories = summary.categories,
                brands = summary.brands,
            )
        }
    }

    /**
     * The products most likely to be what [frame] shows or [text] says, best first: give a picture of one product, words
     * (a name, a brand, a GTIN), or both. No match is an empty list.
     *
     * @throws ShelfSightException one class a cause.
     */
    public suspend fun find(
        frame: Frame? = null,
        text: String? = null,
        options: FindOptions = FindOptions(),
    ): FindResult = query(frame) { job ->
        Request(
            job = job,
            layout = frame?.layout,
            work = Work.Find(text, options.region?.let(Bridge::area), count(options.top)),
            conditions = Bridge.conditions(options.filters),
            barcodes = options.barcodes,
        )
    }.let(Bridge::found)

    /** As [find] with a picture, for the words alone. */
    public suspend fun find(text: String, options: FindOptions = FindOptions()): FindResult =
        find(null, text, options)

    /**
     * Every product place in [frame], each with the products it most likely shows.
     *
     * @throws ShelfSightException one class a cause.
     */
    public suspend fun scan(frame: Frame, options: ScanOptions = ScanOptions()): ScanResult = query(frame) { job ->
        Request(
            job = job,
            layout = frame.layout,
            work = Work.Scan(count(options.top), count(options.maxBoxes)),
            conditions = Bridge.conditions(options.filters),
            barcodes = options.barcodes,
        )
    }.let(Bridge::scanned)

    /**
     * The products in a stream of camera frames. The newest frame wins: one that arrives while another is looked at
     * waits, and is dropped if a newer one comes. Every frame is closed, looked at or not.
     *
     * Neighbouring frames show almost the same, so not each is scanned: what has not changed is answered from before,
     * boxes are carried along with the picture and keep their [Item.track], and only new ones are named. [pace] says how
     * much of the time may be spent.
     *
     * The flow ends with [frames], and throws what they throw or a [ShelfSightException].
     */
    public fun scan(
        frames: Flow<Frame>,
        options: ScanOptions = ScanOptions(),
        pace: Pace = Pace(),
    ): Flow<ScanResult> = flow {
        val session = Bridge.translated { native.follow(settings(options, pace)) }
        try {
            coroutineScope {
                val newest = Channel<Frame>(Channel.CONFLATED, onUndeliveredElement = Frame::close)
                try {
                    launch {
                        frames.collect { newest.send(it) }
                        newest.close()
                    }
                    for (frame in newest) {
                        val reply = frame.use {
                            query(frame) { job ->
                                Request(
                                    job,
                                    frame.layout,
                                    Work.Follow(session),
                                    Bridge.conditions(options.filters),
                                    options.barcodes,
                                )
                            }
                        }
                        emit(Bridge.scanned(reply))
                    }
                } finally {
                    newest.cancel()
                }
            }
        } finally {
            native.unfollow(session)
        }
    }

    /** Tells flows of frames how warm the device is; they work less the warmer it gets. */
    public fun heat(heat: Heat) {
        native.heat(HeatLevel.entries[heat.ordinal])
    }

    /** Loads every model now instead of at the first query. */
    public suspend fun warmUp(): Unit = withContext(options.dispatcher) { Bridge.translated { native.warmUp() } }

    /** Reads and checks every byte of the pack; the flow throws [PackDamagedException] at the first fault. */
    public fun verify(): Flow<Progress<PackInfo>> = work { job, listener ->
        native.verify(job, listener)
        info
    }

    /**
     * Measures speed, memory and, with [probes], recall on this device. The result is a report in JSON, the same that the
     * command `shelfsight bench device` prints.
     *
     * @param probes photos of known products, as JPEG, PNG or WebP files, each with the ids of the right products.
     * @param shelf a photo of a shelf to scan.
     * @param facts what the app knows of the device, such as its model; goes into the report.
     */
    public fun benchmark(
        probes: List<Pair<ByteArray, Set<String>>> = emptyList(),
        shelf: ByteArray? = null,
        rounds: Int = 20,
        facts: Map<String, String> = emptyMap(),
    ): Flow<Progress<String>> = work { job, listener ->
        val settings = BenchSettings(
            path = file.path,
            rounds = count(rounds),
            restMs = 0u,
            shelf = shelf ?: ByteArray(0),
            facts = facts.map { (name, value) -> Attribute(name, value) },
        )
        native.bench(job, settings, probes.map { (photo, ids) -> Probe(photo, ids.toList()) }, listener)
    }

    /**
     * Stops whatever runs, which throws [EngineClosedException], and lets go of the pack when it has returned. Later
     * queries throw [EngineClosedException]; closing again does nothing.
     */
    override fun close() {
        native.shut()
    }

    private suspend fun query(frame: Frame?, request: (ULong) -> Request) = job { job ->
        if (frame == null) Bridge.query(key, request(job), null) else frame.read { Bridge.query(key, request(job), frame) }
    }

    private fun <T : Any> work(block: (ULong, ProgressListener) -> T): Flow<Progress<T>> = channelFlow {
        var total = 0L
        val listener = object : ProgressListener {
            override fun step(done: ULong, total_: ULong) {
                total = total_.toLong()
                trySend(Progress(done.toLong(), total))
            }
        }
        val result = job { job -> block(job, listener) }
        send(Progress(total, total, result))
    }.buffer(Channel.CONFLATED)

    /**
     * Runs [block] on the dispatcher. A cancelled caller stops it and waits for its end, so that it never reads a frame
     * that the caller has closed.
     */
    private suspend fun <T> job(block: (ULong) -> T): T = coroutineScope {
        val job = FastPath.begin(key)
        if (job < 0) throw EngineClosedException()
        val watch = onCancellation { FastPath.cancel(key, job) }
        try {
            withContext(options.dispatcher) { Bridge.translated { block(job.toULong()) } }
        } finally {
            watch.cancel()
            FastPath.end(key, job)
        }
    }

    /** Runs [action] in the thread that cancels this scope, at once: no dispatcher may be free to do it later. */
    private fun CoroutineScope.onCancellation(action: () -> Unit) =
        launch(Dispatchers.Unconfined, CoroutineStart.UNDISPATCHED) {
            try {
                awaitCancellation()
            } finally {
                action()
            }
        }

    public companion object {
        /**
         * Maps the pack at [file] and checks it.
         *
         * @throws PackException if it is missing, damaged, or too new.
         */
        public suspend fun open(file: File, options: EngineOptions = EngineOptions()): Engine =
            withContext(options.dispatcher) {
                Library.load()
                Bridge.translated {
                    val settings = OpenSettings(
                        verify = options.verify,
                        maxPackBytes = options.maxPackBytes?.let(::bytes),
                        maxMemoryBytes = options.maxMemoryBytes?.let(::bytes),
                        threads = count(options.threads),
                    )
                    Engine(NativeEngine.open(file.path, settings), file, options)
                }
            }

        private fun settings(options: ScanOptions, pace: Pace) = FollowSettings(
            top = count(options.top),
            maxBoxes = count(options.maxBoxes),
            maxDetectionsPerSecond = pace.maxDetectionsPerSecond,
            duty = pace.duty,
            track = pace.track,
            skipUnchanged = pace.skipUnchanged,
        )

        private fun count(value: Int): UInt {
            if (value < 0) throw QueryException("$value asked for; give 0 or more")
            return value.toUInt()
        }

        private fun bytes(value: Long): ULong {
            if (value < 0) throw QueryException("a limit of $value bytes; give 0 or more, or null for none")
            return value.toULong()
        }
    }
}
