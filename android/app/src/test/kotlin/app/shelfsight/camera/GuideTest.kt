package app.shelfsight.camera

import android.app.Activity
import android.os.Bundle
import android.os.Looper
import android.widget.TextView
import app.shelfsight.Engine
import app.shelfsight.Frame
import app.shelfsight.Packs
import kotlinx.coroutines.MainScope
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.launch
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
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
}
