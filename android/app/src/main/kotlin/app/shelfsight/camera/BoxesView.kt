package app.shelfsight.camera

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.graphics.RectF
import android.text.StaticLayout
import android.text.TextPaint
import android.text.TextUtils
import android.view.MotionEvent
import android.view.View
import app.shelfsight.Item
import app.shelfsight.ScanResult

/** Draws what a scan found over the picture, and hears taps on it. */
class BoxesView(context: Context, private val tapped: (Item) -> Unit) : View(context) {
    private val ui = Ui(context)
    private val line = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        style = Paint.Style.STROKE
        strokeWidth = ui.dp(2).toFloat()
    }
    private val label = TextPaint(Paint.ANTI_ALIAS_FLAG).apply {
        textSize = ui.dp(11).toFloat()
        color = ui.colour(R.color.ink)
    }
    private val shade = Paint().apply { color = 0xB0101518.toInt() }
    private val placed = ArrayList<Pair<RectF, Item>>()

    /** Of each box, if its product is sure enough. */
    private val names = ArrayList<StaticLayout?>()

    /** The last scan. */
    var result: ScanResult? = null
        set(value) {
            field = value
            place()
            contentDescription = value?.items.orEmpty().mapNotNull { it.best?.product?.title }.joinToString()
            invalidate()
        }

    /** Boxes as they lie on the screen. */
    val boxes: List<Pair<RectF, Item>> get() = placed

    override fun onSizeChanged(w: Int, h: Int, oldw: Int, oldh: Int) = place()

    /** The picture fills the view and is cut at two sides, as the preview is. */
    private fun place() {
        placed.clear()
        names.clear()
        val scan = result ?: return
        if (width == 0 || scan.width == 0) return
        val scale = maxOf(width.toFloat() / scan.width, height.toFloat() / scan.height)
        val left = (width - scan.width * scale) / 2
        val top = (height - scan.height * scale) / 2
        for (item in scan.items) {
            val (x, y, w, h) = item.area
            val box = RectF(left + x * scale, top + y * scale, left + (x + w) * scale, top + (y + h) * scale)
            placed += box to item
            names += item.best?.takeIf { it.score >= SURE }?.let { name(it.product.title, box) }
        }
    }

    /** At most two lines, as wide as the box. */
    private fun name(title: String, box: RectF): StaticLayout =
        StaticLayout.Builder.obtain(title, 0, title.length, label, (box.width() - ui.dp(6)).toInt().coerceAtLeast(1))
            .setMaxLines(2)
            .setEllipsize(TextUtils.TruncateAt.END)
            .build()

    override fun onDraw(canvas: Canvas) {
        for ((at, placement) in placed.withIndex()) {
            val (box, item) = placement
            val best = item.best
            line.color = ui.colour(
                when {
                    best == null -> R.color.faint
                    best.score >= SURE -> R.color.accent
                    else -> R.color.warn
                },
            )
            val round = ui.dp(4).toFloat()
            canvas.drawRoundRect(box, round, round, line)
            val name = names[at] ?: continue
            val top = box.bottom - name.height - ui.dp(3)
            canvas.drawRect(box.left, top, box.right, box.bottom, shade)
            canvas.save()
            canvas.translate(box.left + ui.dp(3), top)
            name.draw(canvas)
            canvas.restore()
        }
    }

    @SuppressLint("ClickableViewAccessibility") // the boxes are read out by the view's description
    override fun onTouchEvent(event: MotionEvent): Boolean {
        if (event.action == MotionEvent.ACTION_UP) {
            // The smallest box below the finger is the one meant.
            val hit = placed.filter { it.first.contains(event.x, event.y) }.minByOrNull { it.first.width() * it.first.height() }
            hit?.let { tapped(it.second) }
        }
        return true
    }

    private companion object {
        /** Score from which a name is shown. */
        const val SURE = 0.5f
    }
}
