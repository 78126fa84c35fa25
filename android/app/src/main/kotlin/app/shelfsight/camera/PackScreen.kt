package app.shelfsight.camera

import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.LinearLayout
import android.widget.ScrollView
import app.shelfsight.camera.CameraApp.Work
import kotlinx.coroutines.launch
import java.util.Locale

/** What is in the pack, its licences, and another one from a file: no network. */
class PackScreen(private val activity: MainActivity) : Screen {
    private val ui = Ui(activity)
    private val scope = ShownScope()
    val message = ui.text("", 15f)
    private val progress = ui.progress()
    private val facts = ui.text("", 16f, bold = true)
    private val licences = ui.column(0)
    private val pick = ui.button(activity.getString(R.string.import_pack)) {
        if (activity.app.imports.value is Work.Running) activity.app.cancelImport() else activity.pickDocument()
    }

    override val view: View = ScrollView(activity).apply {
        setBackgroundColor(ui.colour(R.color.ground))
        val heading = ui.text(activity.getString(R.string.licences), 14f, R.color.faint)
        addView(ui.column(20, ui.heading(activity, R.string.pack), facts, pick, progress, message, heading, licences))
    }

    override fun shown() {
        scope.begin().run {
            launch { activity.app.shop.collect(::show) }
            launch { activity.app.imports.collect(::show) }
        }
    }

    override fun hidden() = scope.end()

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

    private fun show(work: Work<Int>) {
        ui.show(progress, work as? Work.Running)
        pick.setText(if (work is Work.Running) R.string.cancel else R.string.import_pack)
        message.text = when (work) {
            Work.None -> ""
            is Work.Running -> activity.getString(R.string.importing, if (work.total > 0) (work.done * 100 / work.total).toInt() else 0)
            is Work.Refused -> activity.getString(R.string.refused, work.reason)
            is Work.Done -> activity.getString(R.string.imported, work.result)
        }
    }
}
