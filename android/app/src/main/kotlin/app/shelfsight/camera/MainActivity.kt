package app.shelfsight.camera

import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.widget.FrameLayout
import android.widget.Toast
import app.shelfsight.Match
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import java.io.FileNotFoundException

/** A screen of the app: a view that works between [shown] and [hidden]. */
interface Screen {
    val view: View

    fun shown() {}

    fun hidden() {}

    /** What the screen needs to be made again, when the system made the activity again. */
    fun save(): Bundle = Bundle()
}

/** Shows one screen at a time, the camera's first; back goes back. */
class MainActivity : Activity() {
    private val screens = ArrayDeque<Screen>()
    private val root by lazy { FrameLayout(this) }
    private var running = false

    val app: CameraApp get() = application as CameraApp

    /** The screen in view. */
    val screen: Screen get() = screens.last()

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        // Below the bars of the system, which draw over the window on Android 15.
        root.fitsSystemWindows = true
        setContentView(root)
        val kept = saved?.let { bundles(it, SCREENS) }.orEmpty()
        kept.mapNotNullTo(screens, ::screenOf)
        if (screens.isEmpty()) screens.addLast(CameraScreen(this, Bundle.EMPTY))
        show()
    }

    override fun onSaveInstanceState(out: Bundle) {
        super.onSaveInstanceState(out)
        val kept = screens.map { screen -> screen.save().apply { putString(KIND, screen.javaClass.name) } }
        out.putParcelableArrayList(SCREENS, ArrayList(kept))
    }

    /** R8 names classes anew in each build; a screen of another build is not made again. */
    private fun screenOf(kept: Bundle): Screen? = when (kept.getString(KIND)) {
        CameraScreen::class.java.name -> CameraScreen(this, kept)
        SearchScreen::class.java.name -> SearchScreen(this, kept)
        PackScreen::class.java.name -> PackScreen(this)
        BenchmarkScreen::class.java.name -> BenchmarkScreen(this)
        ProductScreen::class.java.name -> productScreen(this, kept)
        else -> null
    }

    override fun onStart() {
        super.onStart()
        running = true
        screen.shown()
    }

    override fun onStop() {
        screen.hidden()
        running = false
        super.onStop()
    }

    fun push(next: Screen) {
        if (running) screens.lastOrNull()?.hidden()
        screens.addLast(next)
        show()
    }

    fun showProduct(match: Match, others: List<Match>) = push(ProductScreen(this, match, others))

    @Deprecated("Deprecated in Java")
    override fun onBackPressed() {
        if (screens.size == 1) return finish()
        screens.removeLast().hidden()
        show()
    }

    private fun show() {
        root.removeAllViews()
        root.addView(screen.view, FrameLayout.LayoutParams(MATCH_PARENT, MATCH_PARENT))
        if (running) screen.shown()
    }

    fun askForCamera() = requestPermissions(arrayOf(android.Manifest.permission.CAMERA), PERMISSION)

    override fun onRequestPermissionsResult(code: Int, permissions: Array<String>, results: IntArray) {
        // No result: the question was interrupted, and nothing answered.
        if (code != PERMISSION || results.isEmpty()) return
        val camera = screens.firstNotNullOfOrNull { it as? CameraScreen } ?: return
        camera.answered(results[0] == PackageManager.PERMISSION_GRANTED)
    }

    fun pickDocument() {
        val pick = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("*/*")
        @Suppress("DEPRECATION") // its successor is part of AndroidX
        start { startActivityForResult(pick, DOCUMENT) }
    }

    // Whichever screen, and whichever activity, asked: the picker may outlive both.
    @Deprecated("Deprecated in Java")
    override fun onActivityResult(code: Int, result: Int, data: Intent?) {
        val document = data?.data
        if (code == DOCUMENT && result == RESULT_OK && document != null) bringIn(document)
    }

    /** Copies, checks and opens a document; the pack in use stays until the new one is whole. */
    fun bringIn(document: Uri) {
        val resolver = applicationContext.contentResolver
        app.import { resolver.openInputStream(document) ?: throw FileNotFoundException("the file is gone") }
    }

    /** Starts another app's activity, or says that none can do it. */
    fun start(activity: () -> Unit) {
        try {
            activity()
        } catch (none: ActivityNotFoundException) {
            Toast.makeText(this, R.string.no_app, Toast.LENGTH_LONG).show()
        }
    }

    private companion object {
        const val PERMISSION = 1
        const val DOCUMENT = 2
        const val SCREENS = "screens"
        const val KIND = "kind"
    }
}

/** A list of bundles in a bundle. */
internal fun bundles(from: Bundle, key: String): List<Bundle> =
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU) {
        from.getParcelableArrayList(key, Bundle::class.java).orEmpty()
    } else {
        @Suppress("DEPRECATION")
        from.getParcelableArrayList<Bundle>(key).orEmpty()
    }

/** A scope for what a screen does while it is shown. */
class ShownScope {
    private var scope: CoroutineScope? = null

    fun begin(): CoroutineScope {
        end()
        return CoroutineScope(SupervisorJob() + Dispatchers.Main).also { scope = it }
    }

    fun end() {
        scope?.cancel()
        scope = null
    }
}
