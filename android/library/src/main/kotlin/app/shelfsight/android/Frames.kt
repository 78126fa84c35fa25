package app.shelfsight.android

import android.graphics.Bitmap
import android.graphics.ImageFormat
import android.media.Image
import android.util.Size
import app.shelfsight.Frame
import app.shelfsight.FrameException
import app.shelfsight.Plane
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A frame over a camera's image in `YUV_420_888`, read where it lies. Closing the frame closes the image; a flow given to
 * [app.shelfsight.Engine.scan] closes its frames by itself.
 *
 * @param rotation clockwise degrees that make the picture upright, as [uprightRotation] works them out.
 * @throws FrameException if the image has another format, or is closed.
 */
public fun Frame.Companion.of(image: Image, rotation: Int): Frame = over(image, rotation) {}

/** As [of]; [closed] is called when the frame has closed the image. */
internal fun Frame.Companion.over(image: Image, rotation: Int, closed: () -> Unit): Frame {
    val (size, planes) = try {
        if (image.format != ImageFormat.YUV_420_888) {
            throw FrameException("an image of format ${image.format}; ask the camera for YUV_420_888")
        }
        Size(image.width, image.height) to image.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
    } catch (gone: IllegalStateException) {
        throw FrameException("the image is closed; make the frame before closing it")
    }
    if (planes.size != 3) throw FrameException("an image of ${planes.size} planes; YUV_420_888 has three")
    val (y, u, v) = planes
    return yuv420(size.width, size.height, y, u, v, rotation) {
        image.close()
        closed()
    }
}

/**
 * A frame over a bitmap. Pixels in `ARGB_8888` and `ALPHA_8` are locked in place while a query runs; hardware bitmaps and
 * other formats are copied once. The bitmap must not change or be recycled before the query has returned.
 *
 * @throws FrameException if the bitmap is recycled, or cannot be copied.
 */
public fun Frame.Companion.of(bitmap: Bitmap, rotation: Int = 0): Frame {
    val inPlace = bitmap.config == Bitmap.Config.ARGB_8888 || bitmap.config == Bitmap.Config.ALPHA_8
    if (inPlace && onAndroid) return ofBitmap(bitmap, rotation, null)
    if (bitmap.isRecycled) throw FrameException("the bitmap is recycled; make the frame before")
    val plain = if (bitmap.config == Bitmap.Config.ARGB_8888) bitmap else bitmap.copy(Bitmap.Config.ARGB_8888, false)
        ?: throw FrameException("the bitmap cannot be copied to ARGB_8888")
    // As numbers, whose order of colours is the same everywhere; the order in memory is not.
    val colours = IntArray(plain.width * plain.height)
    plain.getPixels(colours, 0, plain.width, 0, 0, plain.width, plain.height)
    val pixels = ByteBuffer.allocateDirect(colours.size * 4)
    pixels.order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().put(colours)
    return bgr(plain.width, plain.height, Plane(pixels, plain.width * 4, 4), rotation)
}

/** Bitmaps can be locked by Android's own library alone, which unit tests on a JVM do not have. */
private val onAndroid = System.getProperty("java.vm.vendor")?.contains("Android") == true

/**
 * Degrees that make a camera's picture upright on the screen.
 *
 * @param sensor `CameraCharacteristics.SENSOR_ORIENTATION`.
 * @param display degrees of `Display.getRotation()`.
 */
public fun uprightRotation(sensor: Int, display: Int, facesFront: Boolean = false): Int =
    if (facesFront) (sensor + display) % 360 else (sensor - display + 360) % 360
