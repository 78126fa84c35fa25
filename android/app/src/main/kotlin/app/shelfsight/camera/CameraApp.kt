package app.shelfsight.camera

import android.app.Application
import app.shelfsight.Engine
import app.shelfsight.EngineOptions
import app.shelfsight.PackInfo
import app.shelfsight.Packs
import app.shelfsight.Progress
import app.shelfsight.ShelfSightException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.launch
import java.io.File
import java.io.IOException
import java.io.InputStream

/** Keeps one engine for all screens. */
class CameraApp : Application() {
    /** What there is to search. */
    sealed interface Shop {
        data object Opening : Shop
        data object None : Shop
        data class Refused(val reason: String) : Shop
        data class Open(val engine: Engine) : Shop
    }

    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Main)
    private val pack by lazy { File(filesDir, "shop.shelf") }
    private val state = MutableStateFlow<Shop>(Shop.Opening)

    val shop: StateFlow<Shop> get() = state

    override fun onCreate() {
        super.onCreate()
        scope.launch { if (pack.exists()) open() else installSample() }
    }

    private suspend fun open() {
        val old = state.value
        state.value = try {
            // Queries of one camera and one search fit well below this.
            Shop.Open(Engine.open(pack, EngineOptions(maxMemoryBytes = 256L shl 20, threads = 2)))
        } catch (refused: ShelfSightException) {
            Shop.Refused(refused.reason)
        }
        (old as? Shop.Open)?.engine?.close()
    }

    /** The pack that comes with the app, so that there is something to see. */
    private suspend fun installSample() {
        try {
            import { assets.open("demo.shelf") }.collect()
        } catch (missing: IOException) {
            state.value = Shop.None
        }
    }

    /** Brings in a pack and, when it is whole, opens it; the old one is used until then. */
    fun import(size: Long = 0, source: () -> InputStream): Flow<Progress<PackInfo>> =
        Packs.import(pack, size, source = source).onEach { if (it.result != null) open() }
}
