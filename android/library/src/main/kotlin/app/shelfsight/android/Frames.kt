package app.shelfsight.android

import android.graphics.Bitmap
import android.graphics.ImageFormat
import android.media.Image
import app.shelfsight.Frame
import app.shelfsight.Plane
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A frame over a camera's image in `YUV_420_888`, read where it lies. Closing the frame closes the image; a flow given to
 * [app.shelfsight.Engine.scan] closes its frames by itself.
 *
 * @param rotation clockwise degrees that make the picture upright, as [uprightRotation] works them out.
 */
public fun Frame.Companion.of(image: Image, rotation: Int): Frame {
    require(image.format == ImageFormat.YUV_420_888) { "an image of format ${image.format}; ask the camera for YUV_420_888" }
    val (y, u, v) = image.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
    return yuv420(image.width, image.height, y, u, v, rotation, image::close)
}

/**
 * A frame over a bitmap. Pixels in `ARGB_8888` and `ALPHA_8` are locked in place while a query runs; hardware bitmaps and
 * other formats are copied once. The bitmap must not change or be recycled before the query has returned.
 */
public fun Frame.Companion.of(bitmap: Bitmap, rotation: Int = 0): Frame {
    val inPlace = bitmap.config == Bitmap.Config.ARGB_8888 || bitmap.config == Bitmap.Config.ALPHA_8
    if (inPlace && onAndroid) return ofBitmap(bitmap, rotation, null)
    val plain = if (bitmap.config == Bitmap.Config.ARGB_8888) bitmap else bitmap.copy(Bitmap.Config.ARGB_8888, false)
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
