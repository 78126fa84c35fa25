package app.shelfsight.internal

import app.shelfsight.LibraryUnavailableException
import java.nio.ByteBuffer

/**
 * The library's JNI functions: frames where they lie, and calls in a fraction of a microsecond. [Library.load] comes before
 * any of them.
 */
internal object FastPath {
    @JvmStatic external fun nothing()

    /** A job's number, or -1 if the engine is closed. */
    @JvmStatic external fun begin(engine: Long): Long

    @JvmStatic external fun cancel(engine: Long, job: Long)

    @JvmStatic external fun end(engine: Long, job: Long)

    @JvmStatic
    external fun query(
        engine: Long,
        request: ByteArray,
        plane0: ByteBuffer?,
        plane1: ByteBuffer?,
        plane2: ByteBuffer?,
    ): ByteArray

    @JvmStatic external fun bitmap(engine: Long, request: ByteArray, bitmap: Any): ByteArray
}

/** Loads the native library once, for JNI and for JNA. */
internal object Library {
    private const val NAME = "shelfsight_ffi"
    private var loaded = false

    /** @throws LibraryUnavailableException each time, not only the first, if it cannot be loaded. */
    @Synchronized
    fun load() {
        if (loaded) return
        try {
            // A path of one's own, where the library is not on the path of native libraries.
            val path = System.getProperty("shelfsight.library.path")
            if (path != null) {
                System.load(path)
                System.setProperty("uniffi.component.shelfsight_ffi.libraryOverride", path)
            } else {
                System.loadLibrary(NAME)
            }
            // A call through each border, so that neither can be missing later.
            FastPath.nothing()
            version()
            loaded = true
        } catch (broken: LinkageError) {
            val why = Bridge.oneLine(generateSequence<Throwable>(broken) { it.cause }.last())
            throw LibraryUnavailableException(
                "the library $NAME cannot be loaded ($why); the app must bring it for this processor, and JNA with it",
                broken,
            )
        }
    }
}
