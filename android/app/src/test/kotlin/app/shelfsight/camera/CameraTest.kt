package app.shelfsight.camera

import android.Manifest
import android.content.Context
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.ImageFormat
import android.graphics.RectF
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.media.Image
import android.os.Looper
import android.os.PowerManager
import android.provider.Settings
import android.view.View
import app.shelfsight.Engine
import app.shelfsight.FindOptions
import app.shelfsight.Frame
import app.shelfsight.FrameException
import app.shelfsight.Heat
import app.shelfsight.android.CameraException
import app.shelfsight.android.CameraFrames
import app.shelfsight.android.Held
import app.shelfsight.android.deviceFacts
import app.shelfsight.android.followThermalStatus
import app.shelfsight.android.heatOf
import app.shelfsight.android.of
import app.shelfsight.android.previewTransform
import app.shelfsight.android.uprightRotation
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowCameraCharacteristics
import org.robolectric.shadows.StreamConfigurationMapBuilder
import android.util.Size
import java.io.File
import java.nio.ByteBuffer

/** The library's Android part: bitmaps, rotations, heat, and what the camera may refuse. */
@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = [35], application = CameraApp::class)
class CameraTest {
    private val context: Context get() = RuntimeEnvironment.getApplication()
    private val demo = File(System.getProperty("shelfsight.demo")!!)

    private fun addCamera(facing: Int, vararg sizes: Size) {
        val streams = StreamConfigurationMapBuilder.newBuilder()
        sizes.forEach { streams.addOutputSize(ImageFormat.YUV_420_888, it) }
        val camera = ShadowCameraCharacteristics.newCameraCharacteristics()
        shadowOf(camera).apply {
            set(CameraCharacteristics.LENS_FACING, facing)
            set(CameraCharacteristics.SENSOR_ORIENTATION, 90)
            set(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP, streams.build())
        }
        shadowOf(context.getSystemService(CameraManager::class.java)).addCamera("camera$facing", camera)
    }

    @Test
    fun `bitmaps of every kind find the same product`() = runBlocking<Unit> {
        val photo = demo.resolve("photos").listFiles()!!.sorted()[1]
        val bitmap = BitmapFactory.decodeByteArray(photo.readBytes(), 0, photo.length().toInt())
        Engine.open(demo.resolve("demo.shelf")).use { engine ->
            val options = FindOptions(barcodes = false)
            assertEquals(Bitmap.Config.ARGB_8888, bitmap.config)
            val best = engine.find(Frame.of(bitmap), options = options).best!!
            val file = engine.find(Frame.photo(photo.readBytes()), options = options).matches.take(3)
            assertTrue("${best.product.id} of ${file.map { it.product.id }}", best.product in file.map { it.product })
            val small = bitmap.copy(Bitmap.Config.RGB_565, false)
            // Five bits a colour change a guess, not the kind of product.
            val coarse = engine.find(Frame.of(small), options = options.copy(top = 20)).matches.map { it.product }
            assertTrue("${best.product.id} is not among $coarse", best.product in coarse.take(10))
        }
    }

    /** An image as Camera2 gives it, until it is closed. */
    private class Picture(private val kind: Int, private val count: Int = 3) : Image() {
        var closed = false
        private fun <T> open(value: T): T = if (closed) throw IllegalStateException("Image is already closed") else value
        override fun getFormat() = open(kind)
        override fun getWidth() = open(64)
        override fun getHeight() = open(48)
        override fun getTimestamp() = open(0L)
        override fun getTransform() = 0
        override fun getScalingMode() = 0
        override fun getPlanes(): Array<Image.Plane> = open(
            Array(count) {
                object : Image.Plane() {
                    override fun getRowStride() = if (it == 0) 64 else 32
                    override fun getPixelStride() = 1
                    override fun getBuffer(): ByteBuffer = ByteBuffer.allocateDirect(rowStride * if (it == 0) 48 else 24)
                }
            },
        )
        override fun close() {
            closed = true
        }
    }

    @Test
    fun `images that cannot be read are refused, not crashed on`() = runBlocking<Unit> {
        fun refused(part: String, make: () -> Frame) {
            val reason = assertThrows(FrameException::class.java) { make() }.reason
            assertTrue(reason, part in reason)
        }
        refused("format ${ImageFormat.JPEG}") { Frame.of(Picture(ImageFormat.JPEG), 0) }
        refused("2 planes") { Frame.of(Picture(ImageFormat.YUV_420_888, 2), 0) }
        refused("closed") { Frame.of(Picture(ImageFormat.YUV_420_888).apply { close() }, 0) }
        val gone = Bitmap.createBitmap(8, 8, Bitmap.Config.ARGB_8888).apply { recycle() }
        refused("recycled") { Frame.of(gone) }
        val image = Picture(ImageFormat.YUV_420_888)
        Engine.open(demo.resolve("demo.shelf")).use { engine ->
            Frame.of(image, 90).use { engine.find(it, options = FindOptions(barcodes = false)) }
            assertTrue(image.closed)
            val turned = runCatching { engine.find(Frame.of(Picture(ImageFormat.YUV_420_888), 45)) }.exceptionOrNull()
            assertTrue("$turned", turned is FrameException)
        }
    }

    @Test
    fun `the reader is closed after the last frame that reads from it`() {
        var closed = 0
        val held = Held { closed++ }
        val frames = List(2) { held.frame(Picture(ImageFormat.YUV_420_888), 0)!! }
        assertNull(held.frame(Picture(ImageFormat.YUV_420_888).apply { close() }, 0))
        frames[0].close()
        held.release() // the stream ends while a query reads the second frame
        assertEquals(0, closed)
        frames[1].close()
        frames[1].close()
        assertEquals(1, closed)
        val late = Picture(ImageFormat.YUV_420_888)
        assertNull(held.frame(late, 0))
        assertTrue(late.closed)
        assertEquals(1, closed)
    }

    @Test
    fun `the back camera is chosen at four to three`() {
        assertNull(CameraFrames(context).choose())
        addCamera(CameraCharacteristics.LENS_FACING_FRONT, Size(640, 480))
        assertTrue(CameraFrames(context).choose()!!.facesFront)
        addCamera(CameraCharacteristics.LENS_FACING_BACK, Size(1280, 720), Size(1280, 960), Size(4000, 3000), Size(640, 480))
        val choice = CameraFrames(context).choose()!!
        assertEquals(Size(1280, 960), choice.size)
        assertEquals(90, choice.sensorOrientation)
    }

    @Test
    fun `without permission the screen asks, and the flow refuses`() = runBlocking<Unit> {
        addCamera(CameraCharacteristics.LENS_FACING_BACK, Size(1280, 960))
        val cameras = CameraFrames(context)
        val thrown = runCatching { cameras.frames(cameras.choose()!!, null) { 0 }.first() }.exceptionOrNull()
        assertTrue((thrown as CameraException).reason, "permission" in thrown.reason)
        val controller = Robolectric.buildActivity(MainActivity::class.java).setup()
        val activity = controller.get()
        shadowOf(Looper.getMainLooper()).idle()
        val allow = activity.getString(R.string.allow_camera)
        val found = ArrayList<View>()
        activity.screen.view.findViewsWithText(found, allow, View.FIND_VIEWS_WITH_TEXT)
        assertTrue(found.single().performClick())
        assertEquals(listOf(Manifest.permission.CAMERA), shadowOf(activity).lastRequestedPermission.requestedPermissions.toList())
        fun button(text: Int) = ArrayList<View>().also {
            activity.screen.view.findViewsWithText(it, activity.getString(text), View.FIND_VIEWS_WITH_TEXT)
        }.firstOrNull()
        fun answer(result: Int) =
            activity.onRequestPermissionsResult(1, arrayOf(Manifest.permission.CAMERA), intArrayOf(result))
        // Refused once, it may be asked again; refused for good, only the settings help.
        shadowOf(context.packageManager).setShouldShowRequestPermissionRationale(Manifest.permission.CAMERA, true)
        answer(PackageManager.PERMISSION_DENIED)
        assertNotNull(button(R.string.allow_camera))
        shadowOf(context.packageManager).setShouldShowRequestPermissionRationale(Manifest.permission.CAMERA, false)
        activity.onRequestPermissionsResult(1, emptyArray(), intArrayOf())
        assertNotNull(button(R.string.allow_camera))
        answer(PackageManager.PERMISSION_DENIED)
        assertNull(button(R.string.allow_camera))
        assertTrue(button(R.string.open_settings)!!.performClick())
        val opened = shadowOf(activity).nextStartedActivity
        assertEquals(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, opened.action)
        assertEquals("package:${context.packageName}", opened.dataString)
        // Allowed there, the camera is used when the app is back.
        controller.pause().stop()
        shadowOf(context as android.app.Application).grantPermissions(Manifest.permission.CAMERA)
        controller.restart().start().resume()
        assertEquals(View.GONE, (button(R.string.allow_camera)?.parent as? View)?.visibility ?: View.GONE)
        controller.pause().stop().destroy()
    }

    @Test
    fun `the preview lies where the boxes do, in any window`() {
        addCamera(CameraCharacteristics.LENS_FACING_BACK, Size(1280, 960))
        val choice = CameraFrames(context).choose()!!
        for ((w, h) in listOf(1080 to 2000, 2000 to 1080, 500 to 500, 700 to 200)) for (display in listOf(0, 90, 180, 270)) {
            val shown = RectF(0f, 0f, w.toFloat(), h.toFloat())
            previewTransform(choice, w, h, display).mapRect(shown)
            // The upright picture, as a scan of it has width and height, filling the view.
            val turned = uprightRotation(choice.sensorOrientation, display) % 180 != 0
            val (pw, ph) = if (turned) 960 to 1280 else 1280 to 960
            val scale = maxOf(w.toFloat() / pw, h.toFloat() / ph)
            val want = listOf(w / 2f - pw * scale / 2, h / 2f - ph * scale / 2, w / 2f + pw * scale / 2, h / 2f + ph * scale / 2)
            val got = listOf(shown.left, shown.top, shown.right, shown.bottom)
            for ((a, b) in want.zip(got)) assertEquals("$w×$h at $display°: $got", a, b, 0.1f)
        }
    }

    @Test
    fun `pictures are turned upright`() {
        // A phone whose sensor lies on its side, held upright, then turned to the left.
        assertEquals(90, uprightRotation(sensor = 90, display = 0))
        assertEquals(0, uprightRotation(sensor = 90, display = 90))
        assertEquals(180, uprightRotation(sensor = 90, display = 270))
        assertEquals(0, uprightRotation(sensor = 270, display = 90, facesFront = true))
    }

    @Test
    fun `heat and facts are the device's`() = runBlocking<Unit> {
        val power = context.getSystemService(PowerManager::class.java)
        Engine.open(demo.resolve("demo.shelf")).use { engine ->
            followThermalStatus(context, engine).use { shadowOf(power).setCurrentThermalStatus(PowerManager.THERMAL_STATUS_SEVERE) }
        }
        assertEquals(listOf(Heat.NOMINAL, Heat.FAIR, Heat.SERIOUS, Heat.CRITICAL, Heat.CRITICAL), (0..4).map(::heatOf))
        val facts = deviceFacts(context)
        assertTrue(facts.keys.containsAll(listOf("manufacturer", "model", "android", "abi")))
    }
}
