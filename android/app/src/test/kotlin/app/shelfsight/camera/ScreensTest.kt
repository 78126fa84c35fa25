package app.shelfsight.camera

import android.content.Intent
import android.graphics.Bitmap
import android.graphics.Canvas
import android.net.Uri
import android.os.Looper
import android.os.SystemClock
import android.view.MotionEvent
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import app.shelfsight.Effort
import org.json.JSONObject
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowToast
import java.io.ByteArrayInputStream
import java.io.File

/** Drives the app's screens with the real library, the demo's pack and its pictures, and takes their pictures. */
@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = [35], application = CameraApp::class, qualifiers = "w411dp-h823dp-xhdpi")
class ScreensTest {
    private lateinit var controller: ActivityController<MainActivity>
    private val activity get() = controller.get()
    private val demo = File(System.getProperty("shelfsight.demo")!!)

    @Before
    fun start() {
        controller = Robolectric.buildActivity(MainActivity::class.java).setup()
        waitFor("the pack to open") { activity.app.shop.value is CameraApp.Shop.Open }
    }

    @After
    fun stop() {
        controller.pause().stop().destroy()
        (activity.app.shop.value as? CameraApp.Shop.Open)?.engine?.close()
    }

    /** Runs what the main thread has to do until `ready`; the library works in threads of its own. */
    private fun waitFor(what: String, seconds: Int = 60, ready: () -> Boolean) {
        val end = System.nanoTime() + seconds * 1_000_000_000L
        while (!ready()) {
            check(System.nanoTime() < end) { "waited for $what in vain" }
            shadowOf(Looper.getMainLooper()).idleFor(java.time.Duration.ofMillis(20))
            Thread.sleep(5)
        }
    }

    private inline fun <reified T> screen(): T = activity.screen as T

    private fun texts(view: View): List<String> = when (view) {
        is TextView -> listOf(view.text.toString())
        is ViewGroup -> (0 until view.childCount).flatMap { texts(view.getChildAt(it)) }
        else -> emptyList()
    }

    private fun shown(): String = texts(activity.screen.view).joinToString("\n")

    private fun press(text: Int) {
        fun find(view: View): View? = when {
            view is TextView && view.text == activity.getString(text) && view.isClickable -> view
            view is ViewGroup -> (0 until view.childCount).firstNotNullOfOrNull { find(view.getChildAt(it)) }
            else -> null
        }
        assertTrue(checkNotNull(find(activity.screen.view)) { "no button ${activity.getString(text)}" }.performClick())
    }

    private fun picture(name: String) {
        shadowOf(Looper.getMainLooper()).idle()
        val root = activity.window.decorView
        val bitmap = Bitmap.createBitmap(root.width, root.height, Bitmap.Config.ARGB_8888)
        root.draw(Canvas(bitmap))
        val folder = File(System.getProperty("shelfsight.screenshots")!!).apply { mkdirs() }
        File(folder, "$name.png").outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
        val colours = (0 until 400).map { bitmap.getPixel(it % 20 * root.width / 20, it / 20 * root.height / 20) }.toSet()
        assertTrue("an empty picture of $name", colours.size > 3)
    }

    private fun scanned(): CameraScreen = screen<CameraScreen>().also { camera ->
        waitFor("a scan") { camera.boxes.result != null }
    }

    @Test
    fun `a shelf is named, and a tap shows the product`() {
        val camera = scanned()
        val answer = JSONObject(File(demo, "answers/shelf.json").readText()).getJSONArray("items")
        // Android decodes the JPEG a level apart here and there, which moves a box at the threshold.
        val found = camera.boxes.boxes.size
        assertEquals(answer.length().toDouble(), found.toDouble(), 3.0)
        // What is only guessed may be guessed otherwise then; what is sure may not.
        val firsts = (0 until answer.length()).map { answer.getJSONObject(it).getJSONArray("results").getJSONObject(0) }
        val wanted = firsts.filter { it.getDouble("score") >= 0.5 }.map { it.getString("id") }
        assertTrue("${wanted.size} sure of ${firsts.size}", wanted.size >= 3)
        val named = camera.boxes.boxes.mapNotNull { it.second.best?.product?.id }
        assertTrue("$named for $wanted", wanted.count { it in named } >= wanted.size * 9 / 10)
        waitFor("an unchanged frame") { camera.boxes.result!!.effort == Effort.UNCHANGED }
        assertTrue("${camera.status.text}", camera.status.text.startsWith("$found products"))
        picture("camera")
        val middle = camera.boxes.width / 2f
        val (box, item) = camera.boxes.boxes.filter { (it.second.best?.score ?: 0f) >= 0.5f }.minBy { Math.abs(it.first.centerX() - middle) }
        val now = SystemClock.uptimeMillis()
        val tap = MotionEvent.obtain(now, now, MotionEvent.ACTION_UP, box.centerX(), box.centerY(), 0)
        camera.boxes.dispatchTouchEvent(tap)
        val product = item.best!!.product
        assertTrue(activity.screen is ProductScreen)
        assertTrue(shown(), product.title in shown() && product.gtin!! in shown() && product.brand!! in shown())
        picture("product")
        @Suppress("DEPRECATION")
        activity.onBackPressed()
        assertTrue(activity.screen is CameraScreen)
    }

    @Test
    fun `products are searched by words and narrowed`() {
        scanned()
        press(R.string.search)
        val search = screen<SearchScreen>()
        search.words.setText("sweet chili chips")
        waitFor("matches") { search.list.adapter.count > 0 }
        val want = JSONObject(File(demo, "answers/words.json").readText()).getJSONArray("results").getJSONObject(0)
        val best = search.list.adapter.getItem(0) as app.shelfsight.Match
        assertEquals(want.getString("id"), best.product.id)
        picture("search")
        val other = (1 until search.category.count).first { search.category.getItemAtPosition(it) != best.product.category }
        search.category.setSelection(other)
        waitFor("narrowed matches") {
            val first = search.list.adapter.takeIf { it.count > 0 }?.getItem(0) as? app.shelfsight.Match
            first != null && first.product.category == search.category.getItemAtPosition(other)
        }
        search.words.setText(" ")
        waitFor("an empty list") { search.list.adapter.count == 0 }
        search.category.setSelection(0)
        search.words.setText("chips")
        waitFor("matches") { search.list.adapter.count > 0 }
        search.list.performItemClick(null, 0, 0)
        assertTrue(activity.screen is ProductScreen)
    }

    @Test
    fun `a pack is imported, and a broken one refused`() {
        scanned()
        press(R.string.pack)
        val packs = screen<PackScreen>()
        waitFor("licences") { "Apache-2.0" in shown() }
        val before = activity.app.shop.value
        val good = Uri.parse("content://documents/shop.shelf")
        val resolver = shadowOf(RuntimeEnvironment.getApplication().contentResolver)
        resolver.registerInputStreamSupplier(good) { File(demo, "demo.shelf").inputStream() }
        press(R.string.import_pack)
        val asked = shadowOf(activity).nextStartedActivityForResult
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, asked.intent.action)
        shadowOf(activity).receiveResult(asked.intent, android.app.Activity.RESULT_OK, Intent().setData(good))
        waitFor("the import") { packs.message.text == activity.getString(R.string.imported, 240) }
        waitFor("the new pack") { activity.app.shop.value !== before && activity.app.shop.value is CameraApp.Shop.Open }
        picture("pack")
        val kept = activity.app.shop.value
        val bytes = File(demo, "demo.shelf").readBytes().also { it[it.size / 2] = (it[it.size / 2] + 1).toByte() }
        val bad = Uri.parse("content://documents/bad.shelf")
        resolver.registerInputStreamSupplier(bad) { ByteArrayInputStream(bytes) }
        activity.bringIn(bad)
        waitFor("the refusal") { "damaged" in packs.message.text }
        assertTrue(kept === activity.app.shop.value)
        assertFalse(activity.filesDir.list()!!.any { it.endsWith(".part") })
    }

    @Test
    fun `the benchmark shows and shares its report`() {
        scanned()
        press(R.string.benchmark)
        val bench = screen<BenchmarkScreen>()
        assertFalse(bench.share.isEnabled)
        press(R.string.run_benchmark)
        waitFor("the report", seconds = 240) { bench.report != null }
        val report = JSONObject(bench.report!!)
        assertEquals("shelfsight-bench/1", report.getString("schema"))
        val probes = activity.assets.list("probes")!!.size
        assertTrue("$probes probes", probes >= 10)
        assertEquals(probes, report.getJSONObject("recall").getInt("probes"))
        assertNotNull(report.getJSONObject("device").getString("model"))
        assertTrue("${bench.table.text}", "encode image" in bench.table.text && "recall" in bench.table.text)
        picture("benchmark")
        press(R.string.share_report)
        val sent = shadowOf(activity).nextStartedActivity.getParcelableExtra(Intent.EXTRA_INTENT, Intent::class.java)!!
        assertEquals(Intent.ACTION_SEND, sent.action)
        assertEquals(bench.report, sent.getStringExtra(Intent.EXTRA_TEXT))
    }

    private fun recreate() {
        controller.recreate()
        shadowOf(Looper.getMainLooper()).idle()
    }

    @Test
    fun `screens outlive the activity`() {
        scanned()
        press(R.string.search)
        val search = screen<SearchScreen>()
        search.words.setText("sweet chili chips")
        waitFor("categories") { search.category.count > 1 }
        search.category.setSelection(1)
        val category = search.category.selectedItem
        waitFor("matches") { search.list.adapter.count > 0 }
        search.list.performItemClick(null, 0, 0)
        val before = shown()
        recreate()
        assertTrue(activity.screen is ProductScreen)
        assertEquals(before, shown())
        @Suppress("DEPRECATION")
        activity.onBackPressed()
        val again = screen<SearchScreen>()
        assertTrue(again !== search)
        assertEquals("sweet chili chips", again.words.text.toString())
        waitFor("matches") { again.list.adapter.count > 0 }
        assertEquals(category, again.category.selectedItem)
        @Suppress("DEPRECATION")
        activity.onBackPressed()
        assertTrue(activity.screen is CameraScreen)
        scanned()
    }

    @Test
    fun `an import goes on while the app is left, and is cancelled by its button`() {
        scanned()
        press(R.string.pack)
        val resolver = shadowOf(RuntimeEnvironment.getApplication().contentResolver)
        val slow = Uri.parse("content://documents/slow.shelf")
        val go = java.util.concurrent.CountDownLatch(1)
        resolver.registerInputStreamSupplier(slow) {
            object : java.io.FilterInputStream(File(demo, "demo.shelf").inputStream()) {
                override fun read(bytes: ByteArray, from: Int, length: Int): Int {
                    go.await()
                    return super.read(bytes, from, length)
                }
            }
        }
        val before = activity.app.shop.value
        activity.bringIn(slow)
        waitFor("the import to begin") { activity.app.imports.value is CameraApp.Work.Running }
        waitFor("its button") { activity.getString(R.string.cancel) in shown() }
        recreate()
        waitFor("its button") { activity.getString(R.string.cancel) in shown() }
        controller.pause().stop()
        go.countDown()
        waitFor("the new pack") { activity.app.shop.value !== before && activity.app.shop.value is CameraApp.Shop.Open }
        waitFor("its end") { activity.app.imports.value == CameraApp.Work.Done(240) }
        controller.restart().start().resume()
        waitFor("the message") { activity.getString(R.string.imported, 240) in shown() }
        val kept = activity.app.shop.value
        val never = Uri.parse("content://documents/never.shelf")
        resolver.registerInputStreamSupplier(never) { java.io.PipedInputStream(java.io.PipedOutputStream()) }
        activity.bringIn(never)
        waitFor("its button") { activity.getString(R.string.cancel) in shown() }
        press(R.string.cancel)
        waitFor("the end") { activity.app.imports.value == CameraApp.Work.None }
        assertTrue(kept === activity.app.shop.value)
        waitFor("the sweeping") { activity.filesDir.list()!!.none { it.endsWith(".part") } }
    }

    @Test
    fun `an import that is cancelled when its pack is in place already is opened`() {
        scanned()
        val resolver = shadowOf(RuntimeEnvironment.getApplication().contentResolver)
        val uri = Uri.parse("content://documents/late.shelf")
        val go = java.util.concurrent.CountDownLatch(1)
        resolver.registerInputStreamSupplier(uri) { go.await(); File(demo, "demo.shelf").inputStream() }
        val pack = File(activity.filesDir, "shop.shelf")
        val (old, written) = activity.app.engine to pack.lastModified()
        activity.bringIn(uri)
        waitFor("the import to begin") { activity.app.imports.value is CameraApp.Work.Running }
        // The main thread, which opens, stands still until the pack has taken its place.
        go.countDown()
        val end = System.nanoTime() + 60_000_000_000L
        while (pack.lastModified() == written) check(System.nanoTime() < end) { "waited for the pack in vain" }
        activity.app.cancelImport()
        waitFor("the end") { activity.app.imports.value == CameraApp.Work.None }
        assertTrue("the old pack is searched still", activity.app.engine != null && activity.app.engine !== old)
    }

    @Test
    fun `what the user picks comes after the sample`() {
        scanned()
        val resolver = shadowOf(RuntimeEnvironment.getApplication().contentResolver)
        val uri = Uri.parse("content://documents/early.shelf")
        val pack = File(activity.filesDir, "shop.shelf")
        var sampleWasThere: Boolean? = null
        resolver.registerInputStreamSupplier(uri) {
            sampleWasThere = pack.exists()
            File(demo, "demo.shelf").inputStream()
        }
        // As on the first start.
        assertTrue(pack.delete())
        activity.app.onCreate()
        activity.bringIn(uri)
        waitFor("its end") { activity.app.imports.value == CameraApp.Work.Done(240) }
        assertEquals(true, sampleWasThere)
    }

    @Test
    fun `what a provider of documents throws is shown`() {
        scanned()
        press(R.string.pack)
        val resolver = shadowOf(RuntimeEnvironment.getApplication().contentResolver)
        for ((name, thrown) in mapOf("mine" to SecurityException("not yours"), "broken" to IllegalStateException("provider died"))) {
            val uri = Uri.parse("content://documents/$name")
            resolver.registerInputStreamSupplier(uri) { throw thrown }
            activity.bringIn(uri)
            waitFor("the refusal of $name") { thrown.message!! in shown() }
        }
        val video = Uri.parse("content://documents/video.mp4")
        resolver.registerInputStreamSupplier(video) { ByteArrayInputStream(ByteArray(1 shl 20) { (it * 7).toByte() }) }
        activity.bringIn(video)
        waitFor("the refusal of a video") { "not a ShelfSight pack" in shown() }
        picture("refused")
    }

    @Test
    fun `without an app to pick or share with, that is said`() {
        scanned()
        shadowOf(RuntimeEnvironment.getApplication()).checkActivities(true)
        press(R.string.pack)
        press(R.string.import_pack)
        assertEquals(activity.getString(R.string.no_app), ShadowToast.getTextOfLatestToast())
    }

    @Test
    fun `words that the pack does not know are told apart from no match`() {
        scanned()
        press(R.string.search)
        val search = screen<SearchScreen>()
        search.words.setText("☃")
        waitFor("the message") { search.message.text == activity.getString(R.string.unknown_words) }
        // A pack that comes while the screen is shown is searched.
        val resolver = shadowOf(RuntimeEnvironment.getApplication().contentResolver)
        val good = Uri.parse("content://documents/again.shelf")
        resolver.registerInputStreamSupplier(good) { File(demo, "demo.shelf").inputStream() }
        val before = activity.app.engine
        activity.bringIn(good)
        waitFor("the new pack") { activity.app.engine.let { it != null && it !== before } }
        search.words.setText("chips")
        waitFor("matches of the new pack") { search.list.adapter.count > 0 }
    }

    @Test
    fun `a benchmark goes on while the activity is made again, and is stopped by its button`() {
        scanned()
        press(R.string.benchmark)
        press(R.string.run_benchmark)
        waitFor("the first step") { (activity.app.benchmarks.value as? CameraApp.Work.Running)?.let { it.done > 0 } == true }
        recreate()
        assertTrue(activity.screen is BenchmarkScreen)
        waitFor("the button") { activity.getString(R.string.cancel) in shown() }
        assertTrue(activity.app.benchmarks.value is CameraApp.Work.Running)
        press(R.string.cancel)
        waitFor("the end") { activity.app.benchmarks.value == CameraApp.Work.None }
        assertTrue(activity.getString(R.string.run_benchmark) in shown())
    }

    @Test
    fun `leaving stops the work, coming back resumes it`() {
        val camera = scanned()
        controller.pause().stop()
        camera.boxes.result = null
        repeat(20) { shadowOf(Looper.getMainLooper()).idle(); Thread.sleep(10) }
        assertEquals(null, camera.boxes.result)
        controller.restart().start().resume()
        waitFor("a scan") { camera.boxes.result != null }
    }
}
