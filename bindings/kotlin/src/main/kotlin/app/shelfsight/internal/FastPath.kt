package app.shelfsight.internal

import java.nio.ByteBuffer

/** The library's JNI functions: frames where they lie, and calls in a fraction of a microsecond. */
internal object FastPath {
    init {
        Library.load()
    }

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

    init {
        // A path of one's own, where the library is not on the path of native libraries.
        val path = System.getProperty("shelfsight.library.path")
        if (path != null) {
            System.load(path)
            System.setProperty("uniffi.component.shelfsight_ffi.libraryOverride", path)
        } else {
            System.loadLibrary(NAME)
        }
    }

    fun load() = Unit
}
