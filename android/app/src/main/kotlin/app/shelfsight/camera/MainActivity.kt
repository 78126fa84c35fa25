package app.shelfsight.camera

import android.app.Activity
import android.content.Intent
import android.os.Bundle
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.widget.FrameLayout
import app.shelfsight.Match
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel

/** A screen of the app: a view that works between [shown] and [hidden]. */
interface Screen {
    val view: android.view.View

    fun shown() {}

    fun hidden() {}
}

/** Shows one screen at a time, the camera's first; back goes back. */
class MainActivity : Activity() {
    private val screens = ArrayDeque<Screen>()
    private val root by lazy { FrameLayout(this) }
    private var running = false
    private var onPermission: ((Boolean) -> Unit)? = null
    private var onDocument: ((android.net.Uri) -> Unit)? = null

    val app: CameraApp get() = application as CameraApp

    /** The screen in view. */
    val screen: Screen get() = screens.last()

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        // Below the bars of the system, which draw over the window on Android 15.
        root.fitsSystemWindows = true
        setContentView(root)
        push(CameraScreen(this))
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

    fun askFor(permission: String, answer: (Boolean) -> Unit) {
        onPermission = answer
        requestPermissions(arrayOf(permission), PERMISSION)
    }

    override fun onRequestPermissionsResult(code: Int, permissions: Array<String>, results: IntArray) {
        if (code != PERMISSION) return
        onPermission?.invoke(results.firstOrNull() == android.content.pm.PackageManager.PERMISSION_GRANTED)
    }

    fun pickDocument(picked: (android.net.Uri) -> Unit) {
        onDocument = picked
        val pick = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("*/*")
        @Suppress("DEPRECATION") // its successor is part of AndroidX
        startActivityForResult(pick, DOCUMENT)
    }

    @Deprecated("Deprecated in Java")
    override fun onActivityResult(code: Int, result: Int, data: Intent?) {
        val uri = data?.data
        if (code == DOCUMENT && result == RESULT_OK && uri != null) onDocument?.invoke(uri)
    }

    private companion object {
        const val PERMISSION = 1
        const val DOCUMENT = 2
    }
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
