package app.shelfsight.camera

import android.net.Uri
import android.provider.OpenableColumns
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.LinearLayout
import android.widget.ScrollView
import app.shelfsight.ShelfSightException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.launch
import java.io.FileNotFoundException
import java.io.IOException
import java.util.Locale

/** What is in the pack, its licences, and another one from a file: no network. */
class PackScreen(private val activity: MainActivity) : Screen {
    private val ui = Ui(activity)
    private val shown = ShownScope()
    private var scope: CoroutineScope? = null
    val message = ui.text("", 15f)
    private val facts = ui.text("", 16f, bold = true)
    private val licences = ui.column(0)
    private val pick = ui.button(activity.getString(R.string.import_pack)) { activity.pickDocument(::import) }

    override val view: View = ScrollView(activity).apply {
        setBackgroundColor(ui.colour(R.color.ground))
        val heading = ui.text(activity.getString(R.string.licences), 14f, R.color.faint)
        addView(ui.column(20, facts, pick, message, heading, licences))
    }

    override fun shown() {
        val scope = shown.begin()
        this.scope = scope
        scope.launch { activity.app.shop.collect(::show) }
    }

    override fun hidden() {
        shown.end()
        scope = null
    }

    private fun show(shop: CameraApp.Shop) {
        licences.removeAllViews()
        facts.text = when (shop) {
            CameraApp.Shop.Opening -> activity.getString(R.string.opening)
            CameraApp.Shop.None -> activity.getString(R.string.no_pack)
            is CameraApp.Shop.Refused -> activity.getString(R.string.refused, shop.reason)
            is CameraApp.Shop.Open -> {
                val info = shop.engine.info
                for (licence in info.licences) {
                    val text = "${licence.what}: ${licence.licence}\n${licence.attribution}".trim()
                    licences.addView(ui.text(text, 13f), LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT).apply { bottomMargin = ui.dp(8) })
                }
                activity.getString(R.string.pack_facts, info.products, String.format(Locale.ROOT, "%.1f", info.bytes / 1e6), info.format)
            }
        }
    }

    /** Copies, checks and opens the document; the pack in use stays until the new one is whole. */
    fun import(document: Uri) {
        // The picker pauses the screen; the scope is that of its return.
        val scope = scope ?: shown.begin().also { scope = it }
        scope.launch {
            try {
                val source = { activity.contentResolver.openInputStream(document) ?: throw FileNotFoundException("the file is gone") }
                activity.app.import(size(document), source).collect { step ->
                    val result = step.result
                    message.text = if (result != null) {
                        activity.getString(R.string.imported, result.products)
                    } else {
                        activity.getString(R.string.importing, (step.fraction * 100).toInt())
                    }
                }
            } catch (refused: ShelfSightException) {
                message.text = activity.getString(R.string.refused, refused.reason)
            } catch (broken: IOException) {
                message.text = activity.getString(R.string.refused, broken.message)
            }
        }
    }

    private fun size(document: Uri): Long {
        val columns = arrayOf(OpenableColumns.SIZE)
        return activity.contentResolver.query(document, columns, null, null, null)?.use {
            if (it.moveToFirst() && !it.isNull(0)) it.getLong(0) else 0
        } ?: 0
    }
}
