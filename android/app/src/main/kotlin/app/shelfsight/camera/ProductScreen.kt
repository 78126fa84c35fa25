package app.shelfsight.camera

import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.LinearLayout
import android.widget.ScrollView
import app.shelfsight.Match

/** All that the pack knows of a product, and what it was nearly taken for. */
class ProductScreen(activity: MainActivity, match: Match, others: List<Match>) : Screen {
    private val ui = Ui(activity)

    override val view: View = ScrollView(activity).apply {
        setBackgroundColor(ui.colour(R.color.ground))
        val product = match.product
        val column = ui.column(20)
        fun add(view: View, below: Int = 6) =
            column.addView(view, LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT).apply { bottomMargin = ui.dp(below) })
        add(ui.text(product.title, 24f, bold = true))
        val sure = activity.getString(R.string.sure, (match.score * 100).toInt())
        val how = if (match.evidence.barcode) activity.getString(R.string.by_barcode) else sure
        add(ui.text(how, 15f, R.color.accent), 14)
        product.description?.let { add(ui.text(it), 14) }
        val facts = listOf(
            activity.getString(R.string.brand) to product.brand,
            activity.getString(R.string.category) to product.category,
            activity.getString(R.string.gtin) to product.gtin,
        ) + product.attributes.toList()
        for ((name, value) in facts) {
            if (value == null) continue
            add(ui.row(true, ui.text(name, 14f, R.color.faint), ui.text(value, 14f)))
        }
        if (others.isNotEmpty()) {
            add(ui.text(activity.getString(R.string.other_matches), 14f, R.color.faint).apply { setPadding(0, ui.dp(18), 0, 0) })
            for (other in others) {
                add(matchRow(ui, other).apply { setOnClickListener { activity.showProduct(other, emptyList()) } })
            }
        }
        addView(column)
    }
}
