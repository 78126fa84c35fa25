package app.shelfsight.camera

import android.os.Bundle
import android.text.Editable
import android.text.TextWatcher
import android.view.View
import android.view.ViewGroup
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.BaseAdapter
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.ListView
import android.widget.Spinner
import app.shelfsight.Engine
import app.shelfsight.EngineClosedException
import app.shelfsight.FindOptions
import app.shelfsight.Match
import app.shelfsight.ShelfSightException
import app.shelfsight.UnknownWordsException
import app.shelfsight.filters
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.collectLatest
import kotlinx.coroutines.launch

/** Products by words, narrowed by category and brand. */
class SearchScreen(private val activity: MainActivity, kept: Bundle = Bundle.EMPTY) : Screen {
    private data class Asked(val words: String, val category: String?, val brand: String?)

    private val ui = Ui(activity)
    private val scope = ShownScope()
    private val asked =
        MutableStateFlow(Asked(kept.getString("words").orEmpty(), kept.getString("category"), kept.getString("brand")))
    val words = EditText(activity).apply {
        hint = activity.getString(R.string.search_hint)
        setSingleLine()
        setTextColor(ui.colour(R.color.ink))
        setText(asked.value.words)
        addTextChangedListener(object : TextWatcher {
            override fun beforeTextChanged(text: CharSequence?, start: Int, count: Int, after: Int) = Unit

            override fun onTextChanged(text: CharSequence?, start: Int, before: Int, count: Int) = Unit

            override fun afterTextChanged(text: Editable) {
                asked.value = asked.value.copy(words = text.toString())
            }
        })
    }
    val category = spinner(R.string.all_categories) { asked.value = asked.value.copy(category = it) }
    val brand = spinner(R.string.all_brands) { asked.value = asked.value.copy(brand = it) }
    val message = ui.text("", 14f, R.color.faint)
    private val found = Matches(activity)
    val list = ListView(activity).apply {
        adapter = found
        setOnItemClickListener { _, _, at, _ -> activity.showProduct(found.matches[at], emptyList()) }
    }

    override val view: View =
        ui.column(16, ui.heading(activity, R.string.search), words, ui.row(true, category, brand), message).apply {
            setBackgroundColor(ui.colour(R.color.ground))
            addView(list, LinearLayout.LayoutParams(MATCH_PARENT, 0, 1f))
        }

    override fun save() = Bundle().apply {
        putString("words", asked.value.words)
        putString("category", asked.value.category)
        putString("brand", asked.value.brand)
    }

    override fun shown() {
        scope.begin().launch {
            // A pack that comes while this is shown is searched from then on.
            activity.app.shop.collectLatest { shop ->
                when (shop) {
                    CameraApp.Shop.Opening -> show(emptyList(), activity.getString(R.string.opening))
                    CameraApp.Shop.None -> show(emptyList(), activity.getString(R.string.no_pack))
                    is CameraApp.Shop.Refused -> show(emptyList(), activity.getString(R.string.refused, shop.reason))
                    is CameraApp.Shop.Open -> search(shop.engine)
                }
            }
        }
    }

    private suspend fun search(engine: Engine) {
        val now = asked.value
        fill(category, R.string.all_categories, engine.info.categories, now.category)
        fill(brand, R.string.all_brands, engine.info.brands, now.brand)
        // A query still running when the words change is cancelled, in the library too.
        asked.collectLatest { asked ->
            if (asked.words.isBlank()) return@collectLatest show(emptyList(), null)
            delay(120)
            val options = FindOptions(
                top = 30,
                filters = filters {
                    asked.category?.let { category eq it }
                    asked.brand?.let { brand eq it }
                },
            )
            try {
                val matches = engine.find(asked.words, options).matches
                show(matches, if (matches.isEmpty()) activity.getString(R.string.nothing_found) else null)
            } catch (unknown: UnknownWordsException) {
                show(emptyList(), activity.getString(R.string.unknown_words))
            } catch (gone: EngineClosedException) {
                // Another pack is being opened: it will be searched.
            } catch (refused: ShelfSightException) {
                show(emptyList(), activity.getString(R.string.refused, refused.reason))
            }
        }
    }

    override fun hidden() = scope.end()

    private fun show(matches: List<Match>, text: String?) {
        found.show(matches)
        message.text = text.orEmpty()
        message.visibility = if (text == null) View.GONE else View.VISIBLE
    }

    private fun spinner(all: Int, chosen: (String?) -> Unit) = Spinner(activity).apply {
        onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(parent: AdapterView<*>, view: View?, at: Int, id: Long) =
                chosen(if (at == 0) null else parent.getItemAtPosition(at) as String)

            override fun onNothingSelected(parent: AdapterView<*>) = chosen(null)
        }
        contentDescription = activity.getString(all)
    }

    private fun fill(spinner: Spinner, all: Int, names: List<String>, chosen: String?) {
        val items = listOf(activity.getString(all)) + names
        spinner.adapter = ArrayAdapter(activity, android.R.layout.simple_spinner_dropdown_item, items)
        // What this pack does not have is not asked for any more.
        spinner.setSelection(names.indexOf(chosen) + 1)
    }
}

/** Rows of matches. */
private class Matches(private val activity: MainActivity) : BaseAdapter() {
    private val ui = Ui(activity)
    var matches: List<Match> = emptyList()
        private set

    fun show(next: List<Match>) {
        matches = next
        notifyDataSetChanged()
    }

    override fun getCount() = matches.size

    override fun getItem(at: Int) = matches[at]

    override fun getItemId(at: Int) = at.toLong()

    override fun getView(at: Int, old: View?, parent: ViewGroup): View = matchRow(ui, matches[at])
}

/** Title, brand and category, and how sure. */
internal fun matchRow(ui: Ui, match: Match): View {
    val product = match.product
    val facts = listOfNotNull(product.brand, product.category).joinToString(" · ")
    val sure = ui.context.getString(R.string.sure, (match.score * 100).toInt())
    return ui.column(
        8,
        ui.text(product.title, 16f, bold = true),
        ui.text("$facts · $sure", 13f, R.color.faint),
    )
}
