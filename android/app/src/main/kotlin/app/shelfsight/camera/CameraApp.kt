package app.shelfsight.camera

import android.app.Application
import app.shelfsight.Engine
import app.shelfsight.EngineClosedException
import app.shelfsight.EngineOptions
import app.shelfsight.Packs
import app.shelfsight.ShelfSightException
import app.shelfsight.android.deviceFacts
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext
import java.io.File
import java.io.IOException
import java.io.InputStream

/**
 * Keeps one engine for all screens, and the work that outlives them: an import and a benchmark go on while the screen is
 * turned, or the app left for another.
 */
class CameraApp : Application() {
    /** What there is to search. */
    sealed interface Shop {
        data object Opening : Shop
        data object None : Shop
        data class Refused(val reason: String) : Shop
        data class Open(val engine: Engine) : Shop
    }

    /** Work of some seconds or minutes; [R] is what it makes. */
    sealed interface Work<out R> {
        data object None : Work<Nothing>
        data class Running(val done: Long, val total: Long) : Work<Nothing>
        data class Refused(val reason: String) : Work<Nothing>
        data class Done<R>(val result: R) : Work<R>
    }

    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Main)
    private val pack by lazy { File(filesDir, "shop.shelf") }
    private val opening = Mutex()

    /** Opens what there is when the app begins. */
    private lateinit var first: Job
    private val state = MutableStateFlow<Shop>(Shop.Opening)
    private val importing = Running<Int>()
    private val measuring = Running<String>()

    val shop: StateFlow<Shop> get() = state

    /** The open engine, if there is one. */
    val engine: Engine? get() = (state.value as? Shop.Open)?.engine

    /** The last import: how many products it brought. */
    val imports: StateFlow<Work<Int>> get() = importing.state

    /** The last benchmark: its report, as JSON. */
    val benchmarks: StateFlow<Work<String>> get() = measuring.state

    override fun onCreate() {
        super.onCreate()
        first = scope.launch { if (pack.exists()) open() else installSample() }
    }

    /** Opens the pack that lies there now; one call at a time, so that no engine is forgotten. */
    private suspend fun open() = opening.withLock {
        val old = engine
        state.value = try {
            // Queries of one camera and one search fit well below this.
            Shop.Open(Engine.open(pack, EngineOptions(maxMemoryBytes = 256L shl 20, threads = 2)))
        } catch (refused: ShelfSightException) {
            Shop.Refused(refused.reason)
        }
        old?.close()
    }

    /** The pack that comes with the app, so that there is something to see. */
    private suspend fun installSample() {
        try {
            Packs.import(pack) { assets.open("demo.shelf") }.collect()
            open()
        } catch (missing: app.shelfsight.PackSourceException) {
            state.value = Shop.None
        } catch (refused: ShelfSightException) {
            state.value = Shop.Refused(refused.reason)
        }
    }

    /** Brings in a pack and, when it is whole, opens it; the old one is used until then. */
    fun import(source: () -> InputStream) = importing.start(scope) { step ->
        // Else the sample could take the place of what the user picked.
        first.join()
        var products = 0
        val before = pack.lastModified()
        try {
            Packs.import(pack, source = source).collect {
                step(it.done, it.total)
                it.result?.let { info -> products = info.products }
            }
        } finally {
            // Cancelled a moment too late, the new pack is in place, and is the one to search.
            if (pack.lastModified() != before) withContext(NonCancellable) { open() }
        }
        products
    }

    fun cancelImport() = importing.stop()

    /** Latency, memory and recall on this device, on the pictures that come with the app. */
    fun benchmark() = measuring.start(scope) { step ->
        val engine = engine ?: throw NoPack()
        val (probes, shelf) = withContext(Dispatchers.IO) { probes() to asset("shelf.jpg") }
        var report = ""
        engine.benchmark(probes, shelf, ROUNDS, deviceFacts(this)).collect {
            step(it.done, it.total)
            it.result?.let { json -> report = json }
        }
        report
    }

    fun cancelBenchmark() = measuring.stop()

    /** Photos of known products: `probes/ID.jpg`. */
    private fun probes(): List<Pair<ByteArray, Set<String>>> =
        assets.list("probes").orEmpty().mapNotNull { name ->
            asset("probes/$name")?.let { it to setOf(name.substringBeforeLast('.')) }
        }

    private fun asset(name: String): ByteArray? = try {
        assets.open(name).use { it.readBytes() }
    } catch (missing: IOException) {
        null
    }

    private class NoPack : IOException()

    /** One piece of work at a time. */
    private inner class Running<R> {
        val state = MutableStateFlow<Work<R>>(Work.None)
        private var job: Job? = null

        fun start(scope: CoroutineScope, work: suspend (step: (Long, Long) -> Unit) -> R) {
            val before = job
            job = scope.launch {
                before?.cancelAndJoin()
                state.value = Work.Running(0, 0)
                state.value = try {
                    Work.Done(work { done, total -> state.value = Work.Running(done, total) })
                } catch (none: NoPack) {
                    Work.Refused(getString(R.string.no_pack))
                } catch (gone: EngineClosedException) {
                    // Another pack was brought in meanwhile.
                    Work.Refused(getString(R.string.pack_changed))
                } catch (refused: ShelfSightException) {
                    Work.Refused(refused.reason)
                } catch (stopped: CancellationException) {
                    state.value = Work.None
                    throw stopped
                }
            }
        }

        fun stop() {
            job?.cancel()
        }
    }

    private companion object {
        const val ROUNDS = 20
    }
}
