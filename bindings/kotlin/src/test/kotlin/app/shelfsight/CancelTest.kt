package app.shelfsight

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.system.measureNanoTime

class CancelTest {
    @Test
    fun `a cancelled coroutine ends long before its scan would`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            val shelf = Demo.image(Demo.shelf)
            engine.warmUp()
            val whole = (0 until 3).minOf { measureNanoTime { engine.scan(Demo.rgbaFrame(shelf)) } } / 1e6
            var closedWhileRead = false
            val ends = (1..20).map { turn ->
                val frame = Demo.rgbaFrame(shelf)
                val job = launch(Dispatchers.Default) {
                    try {
                        engine.scan(frame)
                    } finally {
                        // The call is over, so closing does not wait.
                        if (measureNanoTime { frame.close() } > 1_000_000_000) closedWhileRead = true
                    }
                }
                delay((whole * turn / 25).toLong())
                measureNanoTime { job.cancelAndJoin() } / 1e6
            }.sorted()
            println("scan %.0f ms; cancelled within %.1f ms (median), %.1f ms (worst of 20)".format(whole, ends[9], ends.last()))
            assertTrue(ends[9] < whole / 4, "cancelling took ${ends[9]} ms of $whole")
            assertTrue(!closedWhileRead)
            assertTrue(engine.scan(Demo.rgbaFrame(shelf)).items.isNotEmpty())
        }
    }

    @Test
    fun `a timeout is a cancellation`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            assertNull(withTimeoutOrNull(3) { engine.scan(Frame.photo(Demo.shelf.readBytes())) })
            val job = async { engine.scan(Frame.photo(Demo.shelf.readBytes())) }
            job.cancel()
            val thrown = runCatching { job.await() }.exceptionOrNull()
            assertTrue(thrown is CancellationException)
        }
    }

    @Test
    fun `closing while busy stops what runs`() = runBlocking<Unit> {
        val engine = Engine.open(Demo.pack)
        engine.warmUp()
        val frames = List(4) { Demo.rgbaFrame(Demo.image(Demo.shelf)) }
        val scans = frames.map { async(Dispatchers.Default) { runCatching { engine.scan(it) } } }
        delay(30)
        engine.close()
        val ends = scans.map { it.await() }
        // A scan that had just ended is an answer; none may be anything else.
        assertTrue(ends.all { it.isSuccess || it.exceptionOrNull() is EngineClosedException }, ends.toString())
        assertTrue(ends.any { it.isFailure })
        val late = runCatching { engine.scan(frames[0]) }.exceptionOrNull()
        assertEquals(EngineClosedException::class.java, late?.javaClass)
    }

    @Test
    fun `closing while a benchmark runs says so`() = runBlocking<Unit> {
        val engine = Engine.open(Demo.pack)
        val end = async(Dispatchers.Default) { runCatching { engine.benchmark(rounds = 100_000).collect() } }
        delay(300)
        engine.close()
        assertEquals(EngineClosedException::class.java, end.await().exceptionOrNull()?.javaClass)
    }
}
