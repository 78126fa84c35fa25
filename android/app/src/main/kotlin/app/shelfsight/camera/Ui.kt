package app.shelfsight.camera

import android.content.Context
import android.graphics.Typeface
import android.graphics.drawable.GradientDrawable
import android.view.Gravity
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.Button
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.TextView

/** Small helpers to build views in code. */
class Ui(val context: Context) {
    fun dp(value: Int): Int = (value * context.resources.displayMetrics.density).toInt()

    fun colour(id: Int): Int = context.getColor(id)

    fun text(value: CharSequence, size: Float = 15f, colour: Int = R.color.ink, bold: Boolean = false) =
        TextView(context).apply {
            text = value
            textSize = size
            setTextColor(colour(colour))
            if (bold) typeface = Typeface.DEFAULT_BOLD
        }

    fun button(value: CharSequence, click: () -> Unit) = Button(context).apply {
        text = value
        isAllCaps = false
        textSize = 14f
        minWidth = 0
        minimumWidth = 0
        setTextColor(colour(R.color.ink))
        background = panel(18)
        isSingleLine = true
        setPadding(dp(8), dp(8), dp(8), dp(8))
        setOnClickListener { click() }
    }

    /** A screen's name, and the way back. */
    fun heading(activity: MainActivity, title: Int) = row(
        false,
        text("‹", 28f, R.color.accent, bold = true).apply {
            contentDescription = context.getString(R.string.back)
            setPadding(0, 0, dp(10), dp(4))
            minWidth = dp(32)
            @Suppress("DEPRECATION")
            setOnClickListener { activity.onBackPressed() }
        },
        text(context.getString(title), 24f, bold = true),
    )

    fun progress() = ProgressBar(context, null, android.R.attr.progressBarStyleHorizontal).apply { visibility = View.GONE }

    /** How far work is; without a total, that it goes on. */
    fun show(progress: ProgressBar, work: CameraApp.Work.Running?) {
        progress.visibility = if (work == null) View.GONE else View.VISIBLE
        progress.isIndeterminate = work != null && work.total == 0L
        progress.max = 1000
        progress.progress = if (work != null && work.total > 0) (work.done * 1000 / work.total).toInt() else 0
    }

    fun panel(radius: Int, colour: Int = R.color.panel) = GradientDrawable().apply {
        setColor(colour(colour))
        cornerRadius = dp(radius).toFloat()
    }

    fun column(padding: Int = 16, vararg views: View) = LinearLayout(context).apply {
        orientation = LinearLayout.VERTICAL
        setPadding(dp(padding), dp(padding), dp(padding), dp(padding))
        views.forEach { addView(it, LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT).apply { bottomMargin = dp(10) }) }
    }

    /** Views side by side; they share the width if [even]. */
    fun row(even: Boolean, vararg views: View) = LinearLayout(context).apply {
        gravity = Gravity.CENTER_VERTICAL
        views.forEachIndexed { at, view ->
            val params = LinearLayout.LayoutParams(if (even) 0 else WRAP_CONTENT, WRAP_CONTENT, if (even) 1f else 0f)
            if (at > 0) params.leftMargin = dp(8)
            addView(view, params)
        }
    }
}
