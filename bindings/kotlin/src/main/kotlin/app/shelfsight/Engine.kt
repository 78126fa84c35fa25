package app.shelfsight

import app.shelfsight.internal.Attribute
import app.shelfsight.internal.BenchSettings
import app.shelfsight.internal.Bridge
import app.shelfsight.internal.Bridge.notNegative
import app.shelfsight.internal.FastPath
import app.shelfsight.internal.FollowSettings
import app.shelfsight.internal.HeatLevel
import app.shelfsight.internal.Library
import app.shelfsight.internal.NativeEngine
import app.shelfsight.internal.OpenSettings
import app.shelfsight.internal.Probe
import app.shelfsight.internal.Request
import app.shelfsight.internal.Work
import kotlinx.coroutines.CancellationException
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

    /** What the pack said of itself when it was opened; [currentInfo] says it again after [add] and [remove]. */
    public val info: PackInfo = Bridge.translated { Bridge.info(native.summary()) }

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
            work = Work.Find(text, options.region?.let(Bridge::area), notNegative("top", options.top), options.rerank),
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
            work = Work.Scan(notNegative("top", options.top), notNegative("maxBoxes", options.maxBoxes), options.rerank),
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
                lateinit var newest: Channel<Frame>
                // What giving a dropped frame back throws is thrown by the flow, as if the frame had been looked at.
                val drop = { frame: Frame ->
                    try {
                        frame.close()
                    } catch (thrown: Exception) {
                        newest.close(thrown)
                        Unit
                    }
                }
                newest = Channel(Channel.CONFLATED, onUndeliveredElement = drop)
                try {
                    launch {
                        // Refused when a frame could not be given back: then this one is not wanted either.
                        frames.collect { if (newest.trySend(it).isFailure) drop(it) }
                        newest.close()
                    }
                    for (frame in newest) {
                        val reply = frame.use {
                            query(frame) { job ->
                                Request(
                                    job,
                                    frame.layout,
                                    Work.Follow(session),
                                    conditions = emptyList(), // the session's
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

    /**
     * Adds [product] to the catalogue. [find], [scan] and flows that run see it at once, and so does every engine that
     * opens the pack later: when this returns it is on disk, in a file beside the pack (`NAME.shelf.journal`).
     *
     * It is found by its [pictures], each of the product alone, by its words, and by its GTIN; any of the three will do.
     * The frames are read as [find] reads them and not kept: who made them closes them, right after if they like.
     *
     * Cancelled or failed, it adds nothing; cancelled when it is too late for that, it returns as if it had not been.
     *
     * @param replace removes the product of the same id, with its pictures, in the same step.
     * @throws DuplicateProductException if the id is taken and [replace] is false.
     * @throws ProductException if the product cannot be added as it is.
     * @throws ShelfSightException one class a cause: [StorageException], [PackInUseException], [PackReplacedException] and
     *   what [find] throws of pictures.
     */
    public suspend fun add(product: Product, pictures: List<Frame> = emptyList(), replace: Boolean = false) {
        val codes = pictures.map { frame ->
            query(frame) { job -> Request(job, frame.layout, Work.Code, emptyList(), barcodes = false) }
        }.map(Bridge::coded)
        lasting { job -> native.add(job, Bridge.record(product), codes, replace) }
    }

    /**
     * Removes the product of this [id], as lastingly as [add] adds one: queries that begin afterwards never return it,
     * and flows that run no longer show it.
     *
     * @throws NoSuchProductException if there is none.
     * @throws ShelfSightException one class a cause: [StorageException], [PackInUseException], [PackReplacedException].
     */
    public suspend fun remove(id: String): Unit = lasting { native.remove(id) }

    /**
     * Makes one pack of the pack and what was added to and removed from it, in the pack's place; answers stay the same.
     * Null if there is nothing to do. Do it now and then: opening reads what was added, and what was removed takes room.
     *
     * This engine goes on to answer from the old pack, and edits throw [PackReplacedException]. So open one for it:
     *
     * ```
     * Engine.open(file).use { it.compact() }
     * val engine = Engine.open(file)
     * ```
     *
     * It takes as much room again as the pack while it works. A crash, or the end of the app, leaves the old pack or the
     * new one; a caller that is cancelled waits for its end.
     *
     * @throws ShelfSightException one class a cause: [StorageException], [PackInUseException], [PackReplacedException].
     */
    public suspend fun compact(): Compacted? = lasting {
        native.compact()?.let { Compacted(it.products.toInt(), it.before.toLong(), it.after.toLong()) }
    }

    /** What the pack says of itself now; reads every product. */
    public suspend fun currentInfo(): PackInfo =
        withContext(options.dispatcher) { Bridge.translated { Bridge.info(native.summary()) } }

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
            rounds = notNegative("rounds", rounds),
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

    /** Runs an edit; one that is done returns, even to a caller who was cancelled meanwhile. */
    private suspend fun <T> lasting(edit: (ULong) -> T): T {
        var done: Result<T>? = null
        return try {
            job { job -> edit(job).also { done = Result.success(it) } }
        } catch (late: CancellationException) {
            (done ?: throw late).getOrThrow()
        }
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
         * Maps the pack at [file] and checks it. Cancelled, it leaves nothing open.
         *
         * @throws PackException if it is missing, damaged, or too new.
         * @throws LibraryUnavailableException if the app brings no library for this device.
         */
        public suspend fun open(file: File, options: EngineOptions = EngineOptions()): Engine {
            var opened: Engine? = null
            try {
                withContext(options.dispatcher) {
                    Library.load()
                    Bridge.translated {
                        val settings = OpenSettings(
                            verify = options.verify,
                            maxPackBytes = options.maxPackBytes?.let { notNegative("maxPackBytes", it) },
                            maxMemoryBytes = options.maxMemoryBytes?.let { notNegative("maxMemoryBytes", it) },
                            threads = notNegative("threads", options.threads),
                        )
                        val native = NativeEngine.open(file.path, settings)
                        opened = try {
                            Engine(native, file, options)
                        } catch (unread: Throwable) {
                            native.shut()
                            throw unread
                        }
                    }
                }
                return checkNotNull(opened)
            } catch (gone: Throwable) {
                // Cancelled when it was open already: nobody will close it.
                opened?.close()
                throw gone
            }
        }

        private fun settings(options: ScanOptions, pace: Pace) = FollowSettings(
            top = notNegative("top", options.top),
            maxBoxes = notNegative("maxBoxes", options.maxBoxes),
            conditions = Bridge.conditions(options.filters),
            maxDetectionsPerSecond = pace.maxDetectionsPerSecond,
            duty = pace.duty,
            track = pace.track,
            skipUnchanged = pace.skipUnchanged,
        )
    }
}
