package app.shelfsight.camera

import android.content.Intent
import android.view.View
import android.widget.ProgressBar
import android.widget.ScrollView
import app.shelfsight.Engine
import app.shelfsight.ShelfSightException
import app.shelfsight.android.deviceFacts
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import org.json.JSONObject
import java.io.IOException

/** Latency, memory and recall on this device, to look at and to share. */
class BenchmarkScreen(private val activity: MainActivity) : Screen {
    private val ui = Ui(activity)
    private val shown = ShownScope()
    private var scope: CoroutineScope? = null
    private var running: Job? = null
    private val progress = ProgressBar(activity, null, android.R.attr.progressBarStyleHorizontal).apply { visibility = View.INVISIBLE }
    val message = ui.text(activity.getString(R.string.benchmark_about), 14f, R.color.faint)
    val table = ui.text("", 14f).apply { typeface = android.graphics.Typeface.MONOSPACE }
    val run = ui.button(activity.getString(R.string.run_benchmark)) { run() }
    val share = ui.button(activity.getString(R.string.share_report)) { share() }.apply { isEnabled = false }

    /** The last report, as JSON. */
    var report: String? = null
        private set

    override val view: View = ScrollView(activity).apply {
        setBackgroundColor(ui.colour(R.color.ground))
        val title = ui.text(activity.getString(R.string.benchmark), 24f, bold = true)
        addView(ui.column(20, title, message, ui.row(true, run, share), progress, table))
    }

    override fun shown() {
        scope = shown.begin()
    }

    override fun hidden() {
        shown.end()
        scope = null
    }

    private fun run() {
        val scope = scope ?: return
        val engine = (activity.app.shop.value as? CameraApp.Shop.Open)?.engine
        if (engine == null) {
            message.setText(R.string.no_pack)
            return
        }
        running?.cancel()
        running = scope.launch {
            run.isEnabled = false
            progress.visibility = View.VISIBLE
            try {
                measure(engine)
            } catch (refused: ShelfSightException) {
                message.text = activity.getString(R.string.refused, refused.reason)
            } finally {
                run.isEnabled = true
                progress.visibility = View.INVISIBLE
            }
        }
    }

    private suspend fun measure(engine: Engine) {
        val (probes, shelf) = withContext(Dispatchers.IO) { probes() to asset("shelf.jpg") }
        engine.benchmark(probes, shelf, ROUNDS, deviceFacts(activity)).collect { step ->
            progress.max = step.total.toInt()
            progress.progress = step.done.toInt()
            message.text = activity.getString(R.string.benchmark_running, step.done, step.total)
            step.result?.let(::show)
        }
    }

    /** Photos of known products that come with the app: `probes/ID.jpg`. */
    private fun probes(): List<Pair<ByteArray, Set<String>>> =
        activity.assets.list("probes").orEmpty().mapNotNull { name ->
            asset("probes/$name")?.let { it to setOf(name.substringBeforeLast('.')) }
        }

    private fun asset(name: String): ByteArray? = try {
        activity.assets.open(name).use { it.readBytes() }
    } catch (missing: IOException) {
        null
    }

    private fun show(json: String) {
        report = json
        share.isEnabled = true
        val report = JSONObject(json)
        val ms = report.getJSONObject("ms")
        val lines = mutableListOf("%-14s %8s %8s".format("ms", "p50", "p95"))
        for (stage in STAGES) {
            val speed = ms.optJSONObject(stage) ?: continue
            lines += "%-14s %8.2f %8.2f".format(stage.replace('_', ' '), speed.getDouble("p50"), speed.getDouble("p95"))
        }
        val memory = report.getJSONObject("memory")
        if (!memory.isNull("rss_mb")) {
            lines += "%-14s %8.0f %8.0f".format("MB now, peak", memory.getDouble("rss_mb"), memory.getDouble("peak_mb"))
        }
        report.optJSONObject("recall")?.let {
            val share = { key: String -> it.getDouble(key) * 100 }
            lines += "%-14s %7.0f%% %7.0f%%".format("recall@1, @5", share("recall@1"), share("recall@5"))
            lines += "(on ${it.getInt("probes")} photos)"
        }
        val pace = report.getJSONObject("pace")
        if (pace.getBoolean("throttled")) lines += "The device was throttled: let it cool and run again."
        table.text = lines.joinToString("\n")
        message.text = report.getJSONObject("device").let { "${it.optString("manufacturer")} ${it.optString("model")} · ${it.getString("arch")}" }
    }

    private fun share() {
        val send = Intent(Intent.ACTION_SEND).setType("application/json").putExtra(Intent.EXTRA_TEXT, report)
        activity.startActivity(Intent.createChooser(send, activity.getString(R.string.share_report)))
    }

    private companion object {
        const val ROUNDS = 20
        val STAGES =
            listOf("open", "warm_up", "encode_image", "encode_text", "search_image", "search_text", "scan", "cancel")
    }
}
