package app.shelfsight

import app.shelfsight.internal.FrameLayout
import app.shelfsight.internal.PixelFormat
import app.shelfsight.internal.Pixels
import app.shelfsight.internal.PlaneLayout
import java.nio.ByteBuffer
import java.util.concurrent.locks.ReentrantReadWriteLock

/** A plane of samples: sample (x, y) starts at byte `y * rowStride + x * pixelStride` from the buffer's position. */
public class Plane(
    /** Direct, as camera buffers are; from its position to its limit. */
    public val buffer: ByteBuffer,
    /** Bytes from one row to the next. */
    public val rowStride: Int,
    /** Bytes from one sample to the next. */
    public val pixelStride: Int,
)

/**
 * A picture: borrowed pixels, never copied before the resize. It must stay as it is until the query that was given it
 * has returned; [close] then gives the pixels back to whoever lent them, and waits for a query that still reads them.
 *
 * A frame that is no picture (short planes, strides too small, a rotation of 45°) is refused by the query with a
 * [FrameException].
 */
public class Frame internal constructor(
    internal val pixels: Pixels,
    internal val layout: FrameLayout?,
    private val onClose: (() -> Unit)?,
) : AutoCloseable {
    // Readers are queries, the writer is close.
    private val lock = ReentrantReadWriteLock()

    @Volatile
    private var closed = false

    /** Gives the pixels back; queries that come later throw [FrameException]. */
    override fun close() {
        val write = lock.writeLock()
        write.lock()
        try {
            if (closed) return
            closed = true
        } finally {
            write.unlock()
        }
        onClose?.invoke()
    }

    internal inline fun <T> read(block: () -> T): T {
        val read = lock.readLock()
        read.lock()
        try {
            if (closed) throw FrameException("the frame is closed; query it before")
            return block()
        } finally {
            read.unlock()
        }
    }

    public companion object {
        /**
         * A camera picture in `YUV_420_888`: planes Y, U, V as `android.media.Image` gives them, full-range BT.601.
         *
         * @param rotation clockwise degrees that make the picture upright: 0, 90, 180 or 270.
         * @param onClose called once by [close]; pass the `close` of the image.
         */
        public fun yuv420(
            width: Int,
            height: Int,
            y: Plane,
            u: Plane,
            v: Plane,
            rotation: Int = 0,
            onClose: (() -> Unit)? = null,
        ): Frame = planes(PixelFormat.YUV420, width, height, listOf(y, u, v), rotation, onClose)

        /** Red, green, blue bytes, and a fourth that is ignored where [Plane.pixelStride] is 4. */
        public fun rgb(
            width: Int,
            height: Int,
            pixels: Plane,
            rotation: Int = 0,
            onClose: (() -> Unit)? = null,
        ): Frame = planes(PixelFormat.RGB, width, height, listOf(pixels), rotation, onClose)

        /** Blue, green, red bytes, and a fourth that is ignored where [Plane.pixelStride] is 4. */
        public fun bgr(
            width: Int,
            height: Int,
            pixels: Plane,
            rotation: Int = 0,
            onClose: (() -> Unit)? = null,
        ): Frame = planes(PixelFormat.BGR, width, height, listOf(pixels), rotation, onClose)

        /** One byte of grey a pixel. */
        public fun gray(
            width: Int,
            height: Int,
            pixels: Plane,
            rotation: Int = 0,
            onClose: (() -> Unit)? = null,
        ): Frame = planes(PixelFormat.GRAY, width, height, listOf(pixels), rotation, onClose)

        /** A JPEG, PNG or WebP file, turned upright as its EXIF orientation says; decoded by each query anew. */
        public fun photo(file: ByteArray): Frame {
            val buffer = ByteBuffer.allocateDirect(file.size).put(file).apply { flip() }
            return planes(PixelFormat.PHOTO, 0, 0, listOf(Plane(buffer, 0, 0)), 0, null)
        }

        /**
         * An `android.graphics.Bitmap` in `ARGB_8888` or `ALPHA_8`, locked in place while a query runs. Android's module
         * has a typed form of this, `Frame.of(bitmap)`.
         */
        internal fun ofBitmap(bitmap: Any, rotation: Int, onClose: (() -> Unit)?): Frame {
            val layout = FrameLayout(PixelFormat.RGB, 0, 0, rotation, emptyList())
            return Frame(Pixels.Bitmap(bitmap), layout, onClose)
        }

        private fun planes(
            format: PixelFormat,
            width: Int,
            height: Int,
            planes: List<Plane>,
            rotation: Int,
            onClose: (() -> Unit)?,
        ): Frame {
            val strides = planes.map { PlaneLayout(it.rowStride, it.pixelStride) }
            val layout = FrameLayout(format, width, height, rotation, strides)
            return Frame(Pixels.Planes(planes.map { it.buffer }), layout, onClose)
        }
    }
}
