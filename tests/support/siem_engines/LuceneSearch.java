// Lucene as Elasticsearch uses it for query_string on keyword fields: the classic parser, a term a value.
// stdin: `D field value field value …` and `Q name query`, parted by tabs, values in base64; stdout: `name number,number…`.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.StringJoiner;
import org.apache.lucene.analysis.core.KeywordAnalyzer;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StringField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.queryparser.classic.QueryParser;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.store.ByteBuffersDirectory;

public class LuceneSearch {
    static String text(String encoded) {
        return new String(Base64.getDecoder().decode(encoded), StandardCharsets.UTF_8);
    }

    public static void main(String[] arguments) throws Exception {
        ByteBuffersDirectory directory = new ByteBuffersDirectory();
        List<String[]> queries = new ArrayList<>();
        try (IndexWriter writer = new IndexWriter(directory, new IndexWriterConfig(new KeywordAnalyzer()))) {
            BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
            for (String line = input.readLine(); line != null; line = input.readLine()) {
                String[] parts = line.split("\t", -1);
                if (parts[0].equals("Q")) {
                    queries.add(parts);
                    continue;
                }
                Document document = new Document();
                for (int i = 1; i + 1 < parts.length; i += 2) {
                    document.add(new StringField(parts[i], text(parts[i + 1]), Field.Store.NO));
                }
                writer.addDocument(document);
            }
            writer.forceMerge(1);
        }
        IndexSearcher searcher = new IndexSearcher(DirectoryReader.open(directory));
        int all = Math.max(1, searcher.getIndexReader().maxDoc());
        for (String[] query : queries) {
            QueryParser parser = new QueryParser("*", new KeywordAnalyzer());
            StringJoiner found = new StringJoiner(",");
            for (ScoreDoc hit : searcher.search(parser.parse(text(query[2])), all).scoreDocs) {
                found.add(Integer.toString(hit.doc));
            }
            System.out.println(query[1] + "\t" + found);
        }
    }
}
