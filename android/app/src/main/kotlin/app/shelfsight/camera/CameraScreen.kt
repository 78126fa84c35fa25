package app.shelfsight.camera

import android.Manifest
import android.app.AlertDialog
import android.content.pm.PackageManager
import android.graphics.BitmapFactory
import android.graphics.Color
import android.graphics.Matrix
import android.graphics.RectF
import android.graphics.SurfaceTexture
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
import app.shelfsight.filters
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.collectLatest
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import java.io.IOException

/** The shelf, with a box on every product: from the camera, or from the picture that comes with the app. */
class CameraScreen(private val activity: MainActivity) : Screen {
    private val ui = Ui(activity)
    private val shown = ShownScope()
    private val cameras = CameraFrames(activity)
    private val preview = TextureView(activity)
    private val picture = ImageView(activity).apply { scaleType = ImageView.ScaleType.CENTER_CROP }
    val boxes = BoxesView(activity, ::tapped)
    val status = ui.text(activity.getString(R.string.opening), 13f)
    private val source = ui.button(activity.getString(R.string.sample_shelf)) { useSample = !useSample; restart() }
    private val allow = ui.button(activity.getString(R.string.allow_camera)) { ask() }
    private val consent = ui.column(24, ui.text(activity.getString(R.string.camera_needed)), allow)
    private var useSample = cameras.choose() == null
    private var chosen: Filters = Filters.NONE
    private var work: Job? = null
    private var scope: CoroutineScope? = null

    override val view: View = FrameLayout(activity).apply {
        setBackgroundColor(Color.BLACK)
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

    override fun shown() {
        scope = shown.begin()
        restart()
    }

    override fun hidden() {
        shown.end()
        scope = null
    }

    private fun restart() {
        val scope = scope ?: return
        work?.cancel()
        boxes.result = null
        val allowed = activity.checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED
        consent.visibility = if (useSample || allowed) View.GONE else View.VISIBLE
        picture.visibility = if (useSample) View.VISIBLE else View.GONE
        preview.visibility = if (useSample) View.GONE else View.VISIBLE
        source.text = activity.getString(if (useSample) R.string.use_camera else R.string.sample_shelf)
        work = scope.launch {
            activity.app.shop.collectLatest { shop ->
                when (shop) {
                    CameraApp.Shop.Opening -> status.setText(R.string.opening)
                    CameraApp.Shop.None -> status.setText(R.string.no_pack)
                    is CameraApp.Shop.Refused -> status.text = activity.getString(R.string.refused, shop.reason)
                    is CameraApp.Shop.Open -> if (useSample || allowed) look(shop.engine)
                }
            }
        }
    }

    private suspend fun look(engine: Engine) {
        try {
            val frames = (if (useSample) sampleFrames() else cameraFrames()) ?: return
            followThermalStatus(activity, engine).use {
                engine.scan(frames, ScanOptions(filters = chosen)).collect(::show)
            }
        } catch (gone: CameraException) {
            status.text = gone.reason
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
        if (choice == null) {
            useSample = true
            return sampleFrames()
        }
        val texture = surface() ?: return null
        texture.setDefaultBufferSize(choice.size.width, choice.size.height)
        val degrees = { displayDegrees() }
        turnPreview(choice, degrees())
        return cameras.frames(choice, Surface(texture), degrees)
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
    private suspend fun surface(): SurfaceTexture? {
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
    private fun turnPreview(choice: CameraFrames.Choice, display: Int) {
        val (w, h) = preview.width.toFloat() to preview.height.toFloat()
        // The system turns the buffer upright for a display in its natural position.
        val lying = choice.sensorOrientation % 180 != 0
        val (bw, bh) = if (lying) choice.size.height to choice.size.width else choice.size.width to choice.size.height
        val view = RectF(0f, 0f, w, h)
        val matrix = Matrix()
        if (display % 180 == 0) {
            val scale = maxOf(w / bw, h / bh)
            matrix.setScale(bw * scale / w, bh * scale / h, view.centerX(), view.centerY())
        } else {
            val scale = maxOf(w / bh, h / bw)
            matrix.setScale(bw * scale / w, bh * scale / h, view.centerX(), view.centerY())
        }
        matrix.postRotate((360 - display).toFloat() % 360, view.centerX(), view.centerY())
        preview.setTransform(matrix)
    }

    private fun ask() = activity.askFor(Manifest.permission.CAMERA) { if (it) restart() }

    private fun tapped(item: Item) {
        item.best?.let { activity.showProduct(it, item.matches.drop(1)) }
    }

    private fun chooseFilter() {
        val engine = (activity.app.shop.value as? CameraApp.Shop.Open)?.engine ?: return
        val names = listOf(activity.getString(R.string.all_categories)) + engine.info.categories
        AlertDialog.Builder(activity)
            .setTitle(R.string.filter)
            .setItems(names.toTypedArray()) { _, which ->
                chosen = if (which == 0) Filters.NONE else filters { category eq names[which] }
                restart()
            }
            .show()
    }
}
