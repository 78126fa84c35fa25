package app.shelfsight.camera

import android.os.Bundle
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.LinearLayout
import android.widget.ScrollView
import app.shelfsight.Evidence
import app.shelfsight.Match
import app.shelfsight.Product

/** All that the pack knows of a product, and what it was nearly taken for. */
class ProductScreen(activity: MainActivity, private val match: Match, private val others: List<Match>) : Screen {
    private val ui = Ui(activity)

    override val view: View = ScrollView(activity).apply {
        setBackgroundColor(ui.colour(R.color.ground))
        val product = match.product
        val column = ui.column(20)
        fun add(view: View, below: Int = 6) =
            column.addView(view, LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT).apply { bottomMargin = ui.dp(below) })
        add(ui.heading(activity, R.string.product))
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

    override fun save() = Bundle().apply { putParcelableArrayList(MATCHES, ArrayList((listOf(match) + others).map(::bundle))) }
}

private const val MATCHES = "matches"

/** The screen that was saved. */
internal fun productScreen(activity: MainActivity, kept: Bundle): ProductScreen? {
    val matches = bundles(kept, MATCHES).map(::match)
    return if (matches.isEmpty()) null else ProductScreen(activity, matches.first(), matches.drop(1))
}

private fun bundle(match: Match) = Bundle().apply {
    val product = match.product
    putString("id", product.id)
    putString("title", product.title)
    putString("brand", product.brand)
    putString("category", product.category)
    putString("gtin", product.gtin)
    putString("description", product.description)
    putStringArray("names", product.attributes.keys.toTypedArray())
    putStringArray("values", product.attributes.values.toTypedArray())
    putFloat("score", match.score)
    putBoolean("barcode", match.evidence.barcode)
}

private fun match(kept: Bundle): Match {
    val names = kept.getStringArray("names").orEmpty()
    val values = kept.getStringArray("values").orEmpty()
    val product = Product(
        id = kept.getString("id").orEmpty(),
        title = kept.getString("title").orEmpty(),
        brand = kept.getString("brand"),
        category = kept.getString("category"),
        gtin = kept.getString("gtin"),
        description = kept.getString("description"),
        attributes = names.zip(values).toMap(),
    )
    return Match(product, kept.getFloat("score"), Evidence(null, null, kept.getBoolean("barcode")))
}
