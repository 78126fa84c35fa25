package app.shelfsight.internal

import app.shelfsight.PackSourceException
import app.shelfsight.ShelfSightException
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.runInterruptible
import java.io.FileOutputStream
import java.io.InputStream
import java.util.concurrent.atomic.AtomicReference
import kotlin.concurrent.thread

/**
 * Copies a stream that may block for ever: nobody who is cancelled waits for it. [source] opens it, and [length] says from
 * its first [head] bytes how many are wanted.
 */
internal class Transfer(
    private val source: () -> InputStream,
    private val head: Int,
    private val length: (ByteArray) -> Long,
) {
    private val opened = AtomicReference<InputStream?>()

    @Volatile
    private var abandoned = false

    /** Bytes copied to [output], which is closed; [stored] runs what writes. */
    suspend fun run(
        dispatcher: CoroutineDispatcher,
        output: FileOutputStream,
        stored: (() -> Unit) -> Unit,
        step: (Long, Long) -> Unit,
    ): Long {
        // Not a child of the caller, who would wait for it.
        val work = CoroutineScope(dispatcher + SupervisorJob()).async {
            output.use { runInterruptible { copy(it, stored, step) } }
        }
        // Cancelled before it began, it has not closed it.
        work.invokeOnCompletion { runCatching { output.close() } }
        try {
            return work.await()
        } catch (gone: CancellationException) {
            abandoned = true
            work.cancel(gone)
            // Closing wakes some streams that heed no interruption; others make whoever closes them wait.
            opened.get()?.let { thread(isDaemon = true, name = "shelfsight-close") { closeQuietly(it) } }
            throw gone
        }
    }

    private fun copy(output: FileOutputStream, stored: (() -> Unit) -> Unit, step: (Long, Long) -> Unit): Long {
        val input = read { source() }
        opened.set(input)
        try {
            // Who cancelled before the line above found nothing to close.
            if (abandoned) throw cancelled()
            val buffer = ByteArray(1 shl 18)
            var filled = 0
            while (filled < head) {
                val more = read { input.read(buffer, filled, head - filled) }
                if (more < 0) break
                filled += more
                if (abandoned) throw cancelled()
            }
            val wanted = length(buffer.copyOf(filled))
            var done = 0L
            while (true) {
                if (abandoned) throw cancelled()
                stored { output.write(buffer, 0, filled) }
                done += filled
                step(minOf(done, wanted), wanted)
                // One byte more than wanted is enough to see that it is too long.
                if (done > wanted) break
                filled = read { input.read(buffer) }
                if (filled < 0) break
            }
            stored { output.fd.sync() }
            return done
        } finally {
            closeQuietly(input)
        }
    }

    /** What a stream of somebody else's throws: anything, cancellations too. */
    private inline fun <T> read(work: () -> T): T = try {
        work()
    } catch (own: ShelfSightException) {
        throw own
    } catch (broken: Exception) {
        // Nobody else cancels or interrupts this: a source that was, by others or by a time limit of its own, has failed.
        if (abandoned) throw cancelled()
        throw PackSourceException("the pack cannot be read from where it comes: ${Bridge.oneLine(broken)}", broken)
    }

    private fun cancelled() = CancellationException("the import was cancelled")

    private fun closeQuietly(input: InputStream) {
        // Everything wanted was read; what closing says of the rest is nobody's concern.
        runCatching { input.close() }
    }
}
