package app.shelfsight.camera

import android.Manifest
import android.app.AlertDialog
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.BitmapFactory
import android.graphics.Color
import android.graphics.SurfaceTexture
import android.hardware.display.DisplayManager
import android.net.Uri
import android.os.Bundle
import android.provider.Settings
import android.view.Gravity
import android.view.Surface
import android.view.TextureView
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.FrameLayout
import android.widget.ImageView
import app.shelfsight.Effort
import app.shelfsight.Engine
import app.shelfsight.EngineClosedException
import app.shelfsight.Filters
import app.shelfsight.Frame
import app.shelfsight.Item
import app.shelfsight.ScanOptions
import app.shelfsight.ScanResult
import app.shelfsight.ShelfSightException
import app.shelfsight.android.CameraException
import app.shelfsight.android.CameraFrames
import app.shelfsight.android.followThermalStatus
import app.shelfsight.android.of
import app.shelfsight.android.previewTransform
import app.shelfsight.filters
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.collectLatest
import kotlinx.coroutines.flow.emitAll
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import java.io.IOException

/** The shelf, with a box on every product: from the camera, or from the picture that comes with the app. */
class CameraScreen(private val activity: MainActivity, kept: Bundle = Bundle.EMPTY) : Screen {
    private val ui = Ui(activity)
    private val shown = ShownScope()
    private val cameras = CameraFrames(activity)
    private val preview = TextureView(activity)
    private val picture = ImageView(activity).apply { scaleType = ImageView.ScaleType.CENTER_CROP }
    val boxes = BoxesView(activity, ::tapped)
    val status = ui.text(activity.getString(R.string.opening), 13f)
    private val source = ui.button(activity.getString(R.string.sample_shelf)) { useSample = !useSample; restart() }
    private val needed = ui.text("")
    private val allow = ui.button("") { if (refused) openSettings() else activity.askForCamera() }
    private val consent = ui.column(24, needed, allow)
    private val display = activity.getSystemService(DisplayManager::class.java)
    private var useSample = kept.getBoolean("sample", cameras.choose() == null)

    /** The system does not ask any more: only its settings help. */
    private var refused = kept.getBoolean("refused")
    private var category: String? = kept.getString("category")
    private var choice: CameraFrames.Choice? = null
    private var work: Job? = null
    private var scope: CoroutineScope? = null

    override val view: View = FrameLayout(activity).apply {
        setBackgroundColor(Color.BLACK)
        preview.addOnLayoutChangeListener { _, _, _, _, _, _, _, _, _ -> turnPreview() }
        addView(preview, FrameLayout.LayoutParams(MATCH_PARENT, MATCH_PARENT))
        addView(picture, FrameLayout.LayoutParams(MATCH_PARENT, MATCH_PARENT))
        addView(boxes, FrameLayout.LayoutParams(MATCH_PARENT, MATCH_PARENT))
        addView(consent, FrameLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT, Gravity.CENTER))
        val bar = ui.row(
            true,
            ui.button(activity.getString(R.string.search)) { activity.push(SearchScreen(activity)) },
            ui.button(activity.getString(R.string.filter)) { chooseFilter() },
            ui.button(activity.getString(R.string.pack)) { activity.push(PackScreen(activity)) },
            ui.button(activity.getString(R.string.benchmark)) { activity.push(BenchmarkScreen(activity)) },
        )
        val bottom = ui.column(10, ui.row(false, source, status), bar)
        bottom.background = ui.panel(0).apply { alpha = 220 }
        addView(bottom, FrameLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT, Gravity.BOTTOM))
    }

    override fun save() = Bundle().apply {
        putBoolean("sample", useSample)
        putBoolean("refused", refused)
        putString("category", category)
    }

    override fun shown() {
        scope = shown.begin()
        display?.registerDisplayListener(turns, null)
        restart()
    }

    override fun hidden() {
        display?.unregisterDisplayListener(turns)
        shown.end()
        scope = null
    }

    /** A display turned from one long side to the other changes no size, and nobody else tells. */
    private val turns = object : DisplayManager.DisplayListener {
        override fun onDisplayAdded(id: Int) = Unit

        override fun onDisplayRemoved(id: Int) = Unit

        override fun onDisplayChanged(id: Int) = turnPreview()
    }

    private fun restart() {
        val scope = scope ?: return
        val before = work
        boxes.result = null
        val allowed = activity.checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED
        refused = refused && !allowed
        needed.setText(if (refused) R.string.camera_refused else R.string.camera_needed)
        allow.setText(if (refused) R.string.open_settings else R.string.allow_camera)
        consent.visibility = if (useSample || allowed) View.GONE else View.VISIBLE
        picture.visibility = if (useSample) View.VISIBLE else View.GONE
        preview.visibility = if (useSample) View.GONE else View.VISIBLE
        source.text = activity.getString(if (useSample) R.string.use_camera else R.string.sample_shelf)
        work = scope.launch {
            // A camera that is still open is refused to the next who asks.
            before?.cancelAndJoin()
            activity.app.shop.collectLatest { shop ->
                when (shop) {
                    CameraApp.Shop.Opening -> status.setText(R.string.opening)
                    CameraApp.Shop.None -> status.setText(R.string.no_pack)
                    is CameraApp.Shop.Refused -> status.text = activity.getString(R.string.refused, shop.reason)
                    is CameraApp.Shop.Open ->
                        if (useSample || allowed) look(shop.engine) else status.setText(R.string.camera_off)
                }
            }
        }
    }

    private suspend fun look(engine: Engine) {
        try {
            val frames = (if (useSample) sampleFrames() else cameraFrames()) ?: return
            val chosen = category?.let { filters { category eq it } } ?: Filters.NONE
            followThermalStatus(activity, engine).use {
                engine.scan(frames, ScanOptions(filters = chosen)).collect(::show)
            }
        } catch (gone: CameraException) {
            status.text = gone.reason
        } catch (gone: EngineClosedException) {
            // Another pack is being opened: it will be looked with.
        } catch (refused: ShelfSightException) {
            status.text = activity.getString(R.string.refused, refused.reason)
        }
    }

    private fun show(result: ScanResult) {
        boxes.result = result
        val effort = when (result.effort) {
            Effort.UNCHANGED -> R.string.effort_unchanged
            Effort.MOVED -> R.string.effort_moved
            Effort.DETECTED -> R.string.effort_detected
        }
        val ms = result.milliseconds.values.sum().toInt()
        status.text = activity.getString(R.string.status, result.items.size, activity.getString(effort), ms)
    }

    /** The bundled picture, again and again, as a camera held still would see it. */
    private suspend fun sampleFrames(): Flow<Frame>? {
        val bitmap = try {
            withContext(Dispatchers.IO) { activity.assets.open("shelf.jpg").use(BitmapFactory::decodeStream) }
        } catch (missing: IOException) {
            null
        } ?: return null
        picture.setImageBitmap(bitmap)
        return flow {
            while (true) {
                emit(Frame.of(bitmap))
                delay(250)
            }
        }
    }

    private suspend fun cameraFrames(): Flow<Frame>? {
        val choice = cameras.choose()
        this.choice = choice
        if (choice == null) {
            useSample = true
            restart()
            return null
        }
        val texture = surface()
        texture.setDefaultBufferSize(choice.size.width, choice.size.height)
        turnPreview()
        return flow {
            val surface = Surface(texture)
            try {
                emitAll(cameras.frames(choice, surface, ::displayDegrees))
            } finally {
                // The camera is closed by now.
                surface.release()
            }
        }
    }

    private fun displayDegrees(): Int {
        @Suppress("DEPRECATION") // its successor needs Android 11
        return when (activity.windowManager.defaultDisplay.rotation) {
            Surface.ROTATION_90 -> 90
            Surface.ROTATION_180 -> 180
            Surface.ROTATION_270 -> 270
            else -> 0
        }
    }

    /** The preview's surface, as soon as there is one. */
    private suspend fun surface(): SurfaceTexture {
        preview.surfaceTexture?.let { return it }
        val ready = CompletableDeferred<SurfaceTexture>()
        preview.surfaceTextureListener = object : TextureView.SurfaceTextureListener {
            override fun onSurfaceTextureAvailable(texture: SurfaceTexture, width: Int, height: Int) {
                ready.complete(texture)
            }

            override fun onSurfaceTextureSizeChanged(texture: SurfaceTexture, width: Int, height: Int) = Unit

            override fun onSurfaceTextureDestroyed(texture: SurfaceTexture): Boolean = true

            override fun onSurfaceTextureUpdated(texture: SurfaceTexture) = Unit
        }
        return ready.await()
    }

    /** Lets the preview fill the view without stretching it, cut where the boxes are cut. */
    private fun turnPreview() {
        val choice = choice ?: return
        if (preview.width == 0 || preview.height == 0) return
        preview.setTransform(previewTransform(choice, preview.width, preview.height, displayDegrees()))
    }

    /** What the user said to the question for the camera. */
    fun answered(allowed: Boolean) {
        // Refused, and not to be asked again: the next question would be refused unseen.
        refused = !allowed && !activity.shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)
        restart()
    }

    private fun openSettings() {
        val app = Uri.fromParts("package", activity.packageName, null)
        activity.start { activity.startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, app)) }
    }

    private fun tapped(item: Item) {
        item.best?.let { activity.showProduct(it, item.matches.drop(1)) }
    }

    private fun chooseFilter() {
        val engine = activity.app.engine ?: return
        val names = listOf(activity.getString(R.string.all_categories)) + engine.info.categories
        AlertDialog.Builder(activity)
            .setTitle(R.string.filter)
            .setSingleChoiceItems(names.toTypedArray(), names.indexOf(category).coerceAtLeast(0)) { dialog, which ->
                dialog.dismiss()
                category = names[which].takeIf { which > 0 }
                restart()
            }
            .show()
    }
}
