package app.shelfsight.camera

import android.content.Intent
import android.graphics.Typeface
import android.view.View
import android.widget.ScrollView
import app.shelfsight.camera.CameraApp.Work
import kotlinx.coroutines.launch
import org.json.JSONObject

/** Latency, memory and recall on this device, to look at and to share. */
class BenchmarkScreen(private val activity: MainActivity) : Screen {
    private val ui = Ui(activity)
    private val scope = ShownScope()
    private val progress = ui.progress()
    val message = ui.text(activity.getString(R.string.benchmark_about), 14f, R.color.faint)
    val table = ui.text("", 14f).apply { typeface = Typeface.MONOSPACE }
    val run = ui.button(activity.getString(R.string.run_benchmark)) {
        if (activity.app.benchmarks.value is Work.Running) activity.app.cancelBenchmark() else activity.app.benchmark()
    }
    val share = ui.button(activity.getString(R.string.share_report)) { share() }.apply { isEnabled = false }

    /** The last report, as JSON. */
    val report: String? get() = (activity.app.benchmarks.value as? Work.Done)?.result

    override val view: View = ScrollView(activity).apply {
        setBackgroundColor(ui.colour(R.color.ground))
        val heading = ui.heading(activity, R.string.benchmark)
        addView(ui.column(20, heading, message, ui.row(true, run, share), progress, table))
    }

    override fun shown() {
        scope.begin().launch { activity.app.benchmarks.collect(::show) }
    }

    override fun hidden() = scope.end()

    private fun show(work: Work<String>) {
        ui.show(progress, work as? Work.Running)
        run.setText(if (work is Work.Running) R.string.cancel else R.string.run_benchmark)
        share.isEnabled = work is Work.Done
        share.alpha = if (share.isEnabled) 1f else 0.5f
        when (work) {
            Work.None -> message.setText(R.string.benchmark_about)
            is Work.Running -> message.text = activity.getString(R.string.benchmark_running, work.done, work.total)
            is Work.Refused -> message.text = activity.getString(R.string.refused, work.reason)
            is Work.Done -> show(JSONObject(work.result))
        }
        if (work !is Work.Done) table.text = ""
    }

    private fun show(report: JSONObject) {
        val ms = report.getJSONObject("ms")
        val lines = mutableListOf("%-14s %8s %8s".format("ms", "p50", "p95"))
        for (stage in STAGES) {
            val speed = ms.optJSONObject(stage) ?: continue
            lines += "%-14s %8.2f %8.2f".format(stage.replace('_', ' '), speed.getDouble("p50"), speed.getDouble("p95"))
        }
        val memory = report.getJSONObject("memory")
        if (!memory.isNull("rss_mb")) {
            lines += ""
            lines += "%-14s %8.0f %8.0f".format("MB now, peak", memory.getDouble("rss_mb"), memory.getDouble("peak_mb"))
        }
        report.optJSONObject("recall")?.let {
            val share = { key: String -> it.getDouble(key) * 100 }
            lines += ""
            lines += "%-14s %7.0f%% %7.0f%%".format("recall@1, @5", share("recall@1"), share("recall@5"))
            lines += activity.getString(R.string.recall_on, it.getInt("probes"))
        }
        val pace = report.getJSONObject("pace")
        if (pace.getBoolean("throttled")) lines += listOf("", activity.getString(R.string.throttled))
        table.text = lines.joinToString("\n")
        message.text = report.getJSONObject("device").let { "${it.optString("manufacturer")} ${it.optString("model")} · ${it.getString("arch")}" }
    }

    private fun share() {
        val send = Intent(Intent.ACTION_SEND).setType("application/json").putExtra(Intent.EXTRA_TEXT, report)
        activity.start { activity.startActivity(Intent.createChooser(send, activity.getString(R.string.share_report))) }
    }

    private companion object {
        val STAGES =
            listOf("open", "warm_up", "encode_image", "encode_text", "search_image", "search_text", "scan", "cancel")
    }
}
