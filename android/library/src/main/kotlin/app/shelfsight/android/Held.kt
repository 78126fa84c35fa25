package app.shelfsight.android

import android.media.Image
import app.shelfsight.Frame
import app.shelfsight.FrameException
import java.util.concurrent.atomic.AtomicInteger

/**
 * Keeps what frames are read from until the stream has ended and the last frame is closed: closing an `ImageReader` takes
 * the memory from under a query that still reads.
 */
internal class Held(private val close: () -> Unit) {
    // One is the stream itself.
    private val users = AtomicInteger(1)

    /** A frame over [image]; null, and the image closed, if the stream has ended or the image cannot be read. */
    fun frame(image: Image, rotation: Int): Frame? {
        if (!take()) {
            image.close()
            return null
        }
        return try {
            Frame.over(image, rotation, ::release)
        } catch (unreadable: FrameException) {
            image.close()
            release()
            null
        }
    }

    /** One more user; false if there is nothing left to use. */
    fun take(): Boolean {
        while (true) {
            val now = users.get()
            if (now == 0) return false
            if (users.compareAndSet(now, now + 1)) return true
        }
    }

    /** One user less; the last one closes. */
    fun release() {
        if (users.decrementAndGet() == 0) close()
    }
}
