package app.shelfsight.camera

import android.app.Activity
import android.os.Bundle
import android.os.Looper
import android.widget.TextView
import app.shelfsight.Engine
import app.shelfsight.FindOptions
import app.shelfsight.Frame
import app.shelfsight.Packs
import app.shelfsight.Product
import kotlinx.coroutines.MainScope
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import java.io.File

/** The code of docs/android.md, word for word; scripts/check-guides.py compares. */
class ShelfActivity : Activity() {
    private val scope = MainScope()

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        val text = TextView(this).also(::setContentView)
        scope.launch {
            val pack = File(filesDir, "shop.shelf")
            if (!pack.exists()) Packs.import(pack) { assets.open("demo.shelf") }.collect()
            Engine.open(pack).use { engine ->
                val photo = assets.open("shelf.jpg").use { it.readBytes() }
                val scan = engine.scan(Frame.photo(photo))
                text.text = scan.items.mapNotNull { it.best?.product?.title }.joinToString("\n")
            }
        }
    }

    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }
}

suspend fun teach(engine: Engine, id: String, title: String, photos: List<ByteArray>) {
    engine.add(Product(id, title), photos.map(Frame::photo), replace = true)
}

@RunWith(RobolectricTestRunner::class)
// Like the other tests: a library is loaded once, and other graphics would be another loader of classes.
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = [35], application = android.app.Application::class)
class GuideTest {
    @Test
    fun `the guide's activity names the shelf`() {
        val controller = Robolectric.buildActivity(ShelfActivity::class.java).setup()
        val content = controller.get().findViewById<android.view.ViewGroup>(android.R.id.content)!!
        val text = content.getChildAt(0) as TextView
        val end = System.nanoTime() + 60_000_000_000
        while (text.text.isEmpty() && System.nanoTime() < end) {
            shadowOf(Looper.getMainLooper()).idle()
            Thread.sleep(10)
        }
        assertTrue("${text.text}", text.text.lines().size > 20)
        controller.pause().stop().destroy()
    }

    @Test
    fun `the guide's product is found`() = runBlocking<Unit> {
        val assets = RuntimeEnvironment.getApplication().assets
        val pack = File(RuntimeEnvironment.getApplication().filesDir, "taught.shelf")
        Packs.import(pack) { assets.open("demo.shelf") }.collect()
        Engine.open(pack).use { engine ->
            val photo = assets.open("probes/" + assets.list("probes")!!.first()).use { it.readBytes() }
            repeat(2) { teach(engine, "4711", "Plum jam of my own", listOf(photo)) }
            assertEquals("4711", engine.find("plum jam of my own").best?.product?.id)
            val looks = engine.find(Frame.photo(photo), options = FindOptions(barcodes = false))
            assertTrue("$looks", looks.matches.take(2).any { it.product.id == "4711" })
            assertEquals(engine.info.products + 1, engine.currentInfo().products)
        }
    }
}
