package app.shelfsight.android

import android.graphics.Matrix

/**
 * What `TextureView.setTransform` needs so that a preview of [choice] fills a view of [viewWidth] × [viewHeight] pixels
 * upright and unstretched, cut alike at two opposite sides. Boxes of a scan then lie at
 * `scale = max(viewWidth / result.width, viewHeight / result.height)`, centred too.
 *
 * Set it anew when the view's size or the display's rotation changes, as in a window that is dragged.
 *
 * @param displayDegrees degrees of `Display.getRotation()`.
 */
public fun previewTransform(choice: CameraFrames.Choice, viewWidth: Int, viewHeight: Int, displayDegrees: Int): Matrix {
    val (w, h) = viewWidth.toFloat() to viewHeight.toFloat()
    // The system turns the buffer upright for a display in its natural position, and stretches it over the view.
    val lying = choice.sensorOrientation % 180 != 0
    val (bw, bh) = if (lying) choice.size.height to choice.size.width else choice.size.width to choice.size.height
    val scale = if (displayDegrees % 180 == 0) maxOf(w / bw, h / bh) else maxOf(w / bh, h / bw)
    return Matrix().apply {
        setScale(bw * scale / w, bh * scale / h, w / 2, h / 2)
        postRotate((360 - displayDegrees).toFloat() % 360, w / 2, h / 2)
    }
}
